"""One file by GET: which bytes are asked for, which are kept, and what is said of a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from image_tools.errors import (
    AccessDenied,
    ImageToolsError,
    NotFound,
    RateLimited,
    Unavailable,
    UnknownFailure,
)
from image_tools.web.connect import Request
from image_tools.web.download import PartialFile, download

ADDRESS = "https://me:w%40rd@files.example/a/skopeo?token=secret"
SHOWN = "https://files.example/a/skopeo"
CONTENT = b"0123456789"
CDN = URL("https://cdn.example/x")


@dataclass
class GivenResponse:
    """An answer with `chunks` as its body; `broken` is raised behind them."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    chunks: tuple[bytes, ...] = ()
    broken: Exception | None = None
    reason: str = "said"
    url: URL = CDN
    closed: bool = False

    @property
    def content_length(self) -> int | None:
        return int(self.headers["Content-Length"]) if "Content-Length" in self.headers else None

    @property
    def content(self) -> GivenResponse:
        return self

    async def iter_any(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk
        if self.broken is not None:
            raise self.broken

    def close(self) -> None:
        self.closed = True


@dataclass
class GivenConnections:
    """Gives one response and keeps the request."""

    response: GivenResponse
    asked: list[Request] = field(default_factory=list)

    async def open(self, request: Request) -> GivenResponse:
        self.asked.append(request)
        return self.response


@pytest.fixture
def part(tmp_path: Path) -> PartialFile:
    return PartialFile(tmp_path / "skopeo.part")


def fetched(response: GivenResponse, part: PartialFile, url: str = ADDRESS) -> Request:
    connections = GivenConnections(response)
    try:
        asyncio.run(download(connections, url, part))  # type: ignore[arg-type]
    finally:
        assert all(response.closed for _ in connections.asked)
    return connections.asked[0]


def begun(part: PartialFile, size: int, validator: str) -> None:
    with part.open(0, validator) as stream:
        stream.write(CONTENT[:size])


def test_download_of_a_new_file_asks_for_all_of_it(part: PartialFile) -> None:
    whole = GivenResponse(
        headers={"Content-Length": "10", "ETag": '"v1"'}, chunks=(b"01234", b"56789")
    )
    request = fetched(whole, part)

    assert (str(request.url), request.reference) == (f"{SHOWN}?token=secret", SHOWN)
    assert (dict(request.headers), request.authorization) == ({}, "Basic bWU6d0ByZA==")
    assert (part.path.read_bytes(), part.validator) == (CONTENT, '"v1"')
    assert part.path.stat().st_mode & 0o777 == 0o600


def test_download_of_a_begun_file_asks_for_the_rest(part: PartialFile) -> None:
    begun(part, 4, '"v1"')
    rest = GivenResponse(206, {"Content-Range": "bytes 4-9/10"}, (CONTENT[4:],))
    request = fetched(rest, part)

    assert dict(request.headers) == {"Range": "bytes=4-", "If-Range": '"v1"'}
    assert part.path.read_bytes() == CONTENT


def test_download_of_another_version_begins_again(part: PartialFile) -> None:
    begun(part, 4, '"v1"')
    fetched(GivenResponse(headers={"Content-Length": "3"}, chunks=(b"new",)), part)

    assert part.path.read_bytes() == b"new"


@pytest.mark.parametrize("validator", ["", 'W/"v1"', '"\udcff"', '"a\x7f"'])
def test_download_of_an_unknown_version_is_not_continued(part: PartialFile, validator: str) -> None:
    fetched(GivenResponse(headers={"ETag": validator}, chunks=(b"0123",)), part)
    request = fetched(GivenResponse(chunks=(CONTENT,)), part)

    assert dict(request.headers) == {}
    assert part.path.read_bytes() == CONTENT


@pytest.mark.parametrize("broken", [aiohttp.ClientPayloadError("cut"), None])
def test_download_that_is_cut_keeps_the_bytes(part: PartialFile, broken: Exception | None) -> None:
    cut = GivenResponse(
        headers={"Content-Length": "10", "Last-Modified": "today"},
        chunks=(CONTENT[:6],),
        broken=broken,
    )
    with pytest.raises(Unavailable, match=rf"^{SHOWN}: cut after 6 of 10 bytes$"):
        fetched(cut, part)

    assert (part.size, part.validator) == (6, "today")


@pytest.mark.parametrize(
    "broken", [aiohttp.ClientPayloadError("cut"), ConnectionResetError(104, "reset")]
)
def test_download_of_unknown_size_that_breaks_says_so(part: PartialFile, broken: Exception) -> None:
    with pytest.raises(Unavailable, match=r"the connection to cdn\.example broke"):
        fetched(GivenResponse(chunks=(CONTENT[:6],), broken=broken), part)

    assert part.size == 6


@pytest.mark.parametrize("fields", [{}, {"Content-Range": "bytes 2-9/10"}])
def test_download_answered_with_another_part_begins_again(
    part: PartialFile, fields: dict[str, str]
) -> None:
    begun(part, 4, '"v1"')
    with pytest.raises(Unavailable, match="another part"):
        fetched(GivenResponse(206, fields, (b"x",)), part)

    assert (part.size, part.validator) == (0, "")


@pytest.mark.parametrize(
    ("status", "kind", "temporary"),
    [
        (401, ImageToolsError, False),
        (403, AccessDenied, False),
        (404, NotFound, False),
        (418, UnknownFailure, False),
        (429, RateLimited, True),
        (503, Unavailable, True),
    ],
)
def test_download_that_is_refused_is_the_error_of_its_status(
    part: PartialFile, status: int, kind: type[ImageToolsError], temporary: bool
) -> None:
    with pytest.raises(kind) as caught:
        fetched(GivenResponse(status), part)

    assert (str(caught.value), caught.value.temporary) == (f"{SHOWN}: {status} said", temporary)
    assert part.size == 0


def test_download_of_no_such_range_begins_again(part: PartialFile) -> None:
    begun(part, 4, '"v1"')
    with pytest.raises(Unavailable):
        fetched(GivenResponse(416), part)

    assert part.size == 0


def test_download_of_no_url_is_refused(part: PartialFile) -> None:
    with pytest.raises(UnknownFailure, match="is not a URL"):
        asyncio.run(download(GivenConnections(GivenResponse()), "//[]@", part))  # type: ignore[arg-type]
