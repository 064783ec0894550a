"""A file that arrives in parts: kept when the transfer is cut, continued by Range."""

from __future__ import annotations

import http.client
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from image_tools.errors import Unavailable
from image_tools.machine.cancel import Cancel
from image_tools.tools.fetch import Fetcher, shown, unreachable

OnProgress = Callable[[int, int | None], None]
CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class ContentRange:
    """The bytes that have arrived, in `file`, which nobody but its owner may read."""

    file: Path

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self.file.stat().st_size if self.file.exists() else 0

    @property
    def validator(self) -> str:
        """What the server called the version these bytes are of; empty when unknown."""
        return self._note.read_text(encoding="utf-8") if self._note.exists() else ""

    def open(self, start: int, validator: str) -> BinaryIO:
        """The file to be written from `start` on; what lies behind is cut off."""
        self._note.write_text(validator, encoding="utf-8")
        stream = os.fdopen(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        stream.truncate(start)
        stream.seek(start)
        return stream

    def remove(self) -> None:
        """Forget everything that arrived."""
        self.file.unlink(missing_ok=True)
        self.forget_validator()

    def forget_validator(self) -> None:
        """Remove what `open` noted beside the file."""
        self._note.unlink(missing_ok=True)

    @property
    def _note(self) -> Path:
        return self.file.with_name(f"{self.file.name}.version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who is told of each chunk, and who may stop the transfer."""

    on_progress: OnProgress | None = None
    cancel: Cancel | None = None

    def told(self, done: int, total: int | None) -> None:
        """Hand the numbers on."""
        if self.on_progress is not None:
            self.on_progress(done, total)

    @contextmanager
    def ending(self, answer: http.client.HTTPResponse) -> Iterator[None]:
        """Have the transfer of `answer` end at once, as if it were cut, when `cancel` is set."""
        if self.cancel is None:
            yield
            return
        # A socket object of its own: closing the answer must not close this one's number.
        with socket.socket(fileno=os.dup(answer.fileno())) as line:
            callback = partial(_shut, line)
            self.cancel.add_callback(callback)
            try:
                yield
            finally:
                self.cancel.remove_callback(callback)


def transfer(url: str, part: ContentRange, fetcher: Fetcher, watch: Watch) -> None:
    """Nothing; `part` is whole afterwards, as the server understands it.

    What is there already is continued when the server still has the same version (If-Range with a
    strong validator, RFC 9110 section 13.1.5). Unavailable or TimedOut when the transfer is cut:
    the bytes are kept.
    """
    begun, validator = part.size, part.validator
    wish = {"Range": f"bytes={begun}-", "If-Range": validator} if begun and validator else {}
    with _opened(url, part, fetcher, wish) as answer, watch.ending(answer):
        start, total = _extent(answer, part, begun)
        with part.open(start, _strong_validator(answer)) as stream:
            done = _received(answer, stream, partial(_notice, watch, total, start), url)
            stream.flush()
            os.fsync(stream.fileno())
        if total is not None and start + done < total:
            raise Unavailable(
                f"{shown(url)}: cut after {start + done} of {total} bytes",
                advice="run again: what has arrived stays",
            )


def _opened(
    url: str, part: ContentRange, fetcher: Fetcher, wish: dict[str, str]
) -> http.client.HTTPResponse:
    try:
        return fetcher.open(url, wish)
    except Unavailable as error:
        if error.status == 416:
            part.remove()
        raise


def _received(
    answer: http.client.HTTPResponse, stream: BinaryIO, told: Callable[[int], None], url: str
) -> int:
    done = 0
    told(done)
    while chunk := _chunk(answer, url):
        stream.write(chunk)
        done += len(chunk)
        told(done)
    return done


def _chunk(answer: http.client.HTTPResponse, url: str) -> bytes:
    """The next bytes; separate, because writing them raises an OSError of another meaning."""
    try:
        return answer.read1(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise unreachable(url, error) from None


def _notice(watch: Watch, total: int | None, start: int, done: int) -> None:
    watch.told(start + done, total)


def _extent(
    answer: http.client.HTTPResponse, part: ContentRange, begun: int
) -> tuple[int, int | None]:
    """Where the body begins in the file, and the size of the whole file."""
    length = answer.headers.get("Content-Length", "")
    found = _RANGE.match(answer.headers.get("Content-Range", ""))
    if answer.status == 206 and found is not None and int(found[1]) == begun:
        return begun, int(found[2]) if found[2] != "*" else None
    if answer.status == 206:
        part.remove()
        raise Unavailable("the server sent another range than the one it was asked for")
    return 0, int(length) if length.isdigit() else None


def _strong_validator(answer: http.client.HTTPResponse) -> str:
    etag: str = answer.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return etag
    modified: str = answer.headers.get("Last-Modified", "")
    return modified


def _shut(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
