"""Reading answers: how much, for how long, and what becomes of the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import aiohttp
import pytest
from yarl import URL

from image_tools.errors import TimedOut, Unavailable
from image_tools.web.responses import AnsweredRange, answered_range, drain, read_body

ADDRESS = URL("https://r.example/v2/")


class GivenAnswer:
    """An answer whose body comes in `pieces`; None never comes, an exception breaks the line."""

    def __init__(
        self,
        pieces: Iterable[bytes | Exception | None] = (),
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        whole: bool = False,
    ) -> None:
        self.pieces, self.status, self.headers = list(pieces), status, headers or {}
        self.url, self.content, self.whole = ADDRESS, self, whole
        self.ended: list[str] = []

    @property
    def content_length(self) -> int | None:
        length = self.headers.get("Content-Length")
        return None if length is None else int(length)

    def is_eof(self) -> bool:
        return self.whole

    def read_nowait(self) -> bytes:
        return b"".join(piece for piece in self.pieces if isinstance(piece, bytes))

    async def readany(self) -> bytes:
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        if piece is None:
            await asyncio.sleep(60)
        return piece or b""

    async def read(self, most: int) -> bytes:
        return (await self.readany())[:most]

    def release(self) -> None:
        self.ended.append("released")

    def close(self) -> None:
        self.ended.append("closed")


def body_of(answer: GivenAnswer, seconds: float = 60.0) -> bytes:
    return asyncio.run(read_body(answer, "r.example/a:1", 10, seconds))  # type: ignore[arg-type]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("pieces", [(), (b"0123456789",), (b"01234", b"56789")])
def test_read_body_that_is_short_gives_the_connection_back(
    pieces: tuple[bytes, ...], whole: bool
) -> None:
    answer = GivenAnswer(pieces, whole=whole)

    assert (body_of(answer), answer.ended) == (b"".join(pieces), ["released"])


@pytest.mark.parametrize("pieces", [(b"0123456789x",), (b"0123456789", b"x", None)])
def test_read_body_that_is_long_ends_the_connection(pieces: tuple[bytes, ...]) -> None:
    answer = GivenAnswer(pieces)

    assert (body_of(answer), answer.ended) == (b"0123456789x", ["closed"])


@pytest.mark.parametrize(
    ("piece", "kind", "said"),
    [
        (aiohttp.ClientPayloadError("cut"), Unavailable, "broke (the answer was cut off)"),
        (ConnectionResetError(104, "reset"), Unavailable, "broke ([Errno 104] reset)"),
        (None, TimedOut, "does not answer: timed out"),
    ],
)
def test_read_body_that_does_not_end_is_a_failure_of_the_network(
    piece: Exception | None, kind: type[Unavailable], said: str
) -> None:
    answer = GivenAnswer([b"0", piece])
    with pytest.raises(kind) as caught:
        body_of(answer, 0.01)

    assert str(caught.value).startswith("r.example/a:1: ")
    assert str(caught.value).endswith(said)
    assert answer.ended == ["closed"]


def test_read_body_cancelled_ends_the_connection() -> None:
    answer = GivenAnswer([None])

    async def cancelled() -> None:
        work = asyncio.ensure_future(read_body(answer, "r", 10, 60.0))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(cancelled())
    assert answer.ended == ["closed"]


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (GivenAnswer([b"x"]), 0),
        (GivenAnswer([b"x"], headers={"Content-Length": "1"}), 0),
        (GivenAnswer([b"x"], headers={"Content-Length": "1000000"}), 1),
        (GivenAnswer([aiohttp.ClientPayloadError("cut")]), 0),
    ],
)
def test_drain_reads_what_is_small(answer: GivenAnswer, left: int) -> None:
    asyncio.run(drain(answer))  # type: ignore[arg-type]

    assert (len(answer.pieces), answer.ended) == (left, ["released"])


@pytest.mark.parametrize(
    ("status", "headers", "found"),
    [
        (200, {"Content-Length": "10"}, AnsweredRange(0, 10)),
        (200, {}, AnsweredRange(0, None)),
        (206, {"Content-Range": "bytes 3-9/10"}, AnsweredRange(3, 10)),
        (206, {"Content-Range": " bytes 3-9/* "}, AnsweredRange(3, None)),
        (206, {"Content-Range": "bytes */10"}, None),
        (206, {}, None),
    ],
)
def test_answered_range_is_what_the_fields_say(
    status: int, headers: dict[str, str], found: AnsweredRange | None
) -> None:
    answer = GivenAnswer(status=status, headers=headers)

    assert answered_range(answer) == found  # type: ignore[arg-type]
