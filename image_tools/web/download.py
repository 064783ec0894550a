"""Downloading one file: what has arrived is kept if the transfer is cut, and continued."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import aiohttp
from yarl import URL

from image_tools.errors import ImageToolsError, Unavailable, UnknownFailure
from image_tools.refusals.case import Case, Stage
from image_tools.refusals.classify import classify
from image_tools.web.address import located, registry_of, shown
from image_tools.web.basic import basic_authorization
from image_tools.web.connect import Connections, Request
from image_tools.web.network_failures import network_failure
from image_tools.web.responses import answered_range

OnProgress = Callable[[int, "int | None"], None]
_PARTIAL, _NOT_SATISFIABLE = 206, 416


@dataclass(frozen=True, slots=True)
class PartialFile:
    """The bytes of a download that have arrived, in a file for its owner alone."""

    path: Path

    @property
    def size(self) -> int:
        """Return the number of bytes that have arrived."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def validator(self) -> str:
        """Return what the server called the version of these bytes; empty if unknown."""
        return self._note.read_text(encoding="utf-8") if self._note.exists() else ""

    def open(self, start: int, validator: str) -> BinaryIO:
        """Return the file, to be written from `start` on; what lies behind is cut off."""
        self._note.write_text(validator, encoding="utf-8")
        stream = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        stream.truncate(start)
        stream.seek(start)
        return stream

    def remove(self) -> None:
        """Remove everything that has arrived."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        """Move the complete file to `target`, in one step."""
        self.path.replace(target)
        self._note.unlink(missing_ok=True)

    @property
    def _note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.version")


async def download(
    connections: Connections, url: str, part: PartialFile, *, on_progress: OnProgress | None = None
) -> None:
    """Bring the file at `url`, whose user name and password are shown to its server, to `part`.

    A partial file is continued if the server still has the same version (If-Range with a
    strong validator, RFC 9110 section 13.1.5). `on_progress` is told the bytes that have arrived
    and the size of the file, None if unknown. Raise what `Connections.open` raises, the error of
    the status if there is no file, and Unavailable or TimedOut if the transfer is cut; then the
    bytes are kept. OSError if the file cannot be written.
    """
    request = _request(url, part)
    response = await connections.open(request)
    try:
        start, total = _extent(response, request, part)
        done = start
        with part.open(start, _strong_validator(response)) as stream:
            if on_progress is not None:
                on_progress(done, total)
            async for chunk in _chunks(response, request.reference):
                stream.write(chunk)
                done += len(chunk)
                if on_progress is not None:
                    on_progress(done, total)
            stream.flush()
            os.fsync(stream.fileno())
    finally:
        response.close()
    if total is not None and done < total:
        raise Unavailable(
            f"{request.reference}: cut after {done} of {total} bytes",
            advice="run again: what has arrived stays",
        )


def _request(url: str, part: PartialFile) -> Request:
    target = located(URL(), url)
    if target is None:
        raise UnknownFailure(f"{url!r} is not a URL")
    begun, validator = part.size, part.validator
    wish = {"Range": f"bytes={begun}-", "If-Range": validator} if begun and validator else {}
    user, password = target.user, target.password or ""
    return Request(
        method="GET",
        url=target.with_user(None),
        reference=shown(url),
        headers=wish,
        authorization=basic_authorization(user, password) if user else None,
    )


def _extent(
    response: aiohttp.ClientResponse, request: Request, part: PartialFile
) -> tuple[int, int | None]:
    """Return where the body begins in the file, and the size of the whole file."""
    if response.status not in (200, _PARTIAL):
        if response.status == _NOT_SATISFIABLE:
            part.remove()
            raise Unavailable(f"{request.reference}: the file has changed", status=response.status)
        raise _refused(response, request.reference)
    answered = answered_range(response)
    if answered is None or answered.first not in (0, part.size):
        part.remove()
        raise Unavailable(f"{request.reference}: answered with another part of the file")
    return answered.first, answered.total


def _refused(response: aiohttp.ClientResponse, reference: str) -> ImageToolsError:
    said = f"{response.status} {response.reason or ''}".rstrip()
    case = Case(
        stages=frozenset({Stage.READING}),
        words=said,
        status=response.status,
        registry=registry_of(response.url),
    )
    return classify(case).error(f"{reference}: {said}", status=response.status)


async def _chunks(response: aiohttp.ClientResponse, reference: str) -> AsyncIterator[bytes]:
    """Yield the body up to where it ends or is cut."""
    try:
        async for chunk in response.content.iter_any():
            yield chunk
    except aiohttp.ClientPayloadError as error:
        if response.content_length is None:
            raise network_failure(error, reference, response.url) from error
    except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
        raise network_failure(error, reference, response.url) from error


def _strong_validator(response: aiohttp.ClientResponse) -> str:
    """Return what names the version of the file and can be sent back; empty without it."""
    etag = response.headers.get("ETag", "")
    found = etag if etag and not etag.startswith("W/") else ""
    found = found or response.headers.get("Last-Modified", "")
    return found if found.isascii() and found.isprintable() else ""
