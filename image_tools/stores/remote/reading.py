"""A blob as a stream: continued by Range where it is cut, hashed on the way."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import aiohttp
from loguru import logger

from image_tools.errors import CopyFailed, DigestMismatch, ImageToolsError, Unavailable
from image_tools.oci.digest import Digest
from image_tools.stores.remote.client import RegistryClient
from image_tools.stores.remote.questions import Question
from image_tools.web.connect import network_failure

_CONTENT_RANGE = re.compile(r"bytes[ ](\d+)-(\d+)/(\d+|\*)")


# How servers refuse a part that they have; what they have not, a 404 says.
_NO_RANGE = frozenset({400, 403, 405, 406, 409, 410, 412, 415, 416, 422, 501})


class _OtherPart(Unavailable):
    """The answer holds another part of the blob than was asked for."""


@dataclass(frozen=True, slots=True)
class BlobRange:
    """What an answer brings: bytes from `first` on, `total` is the blob's size; None: not told."""

    first: int
    total: int | None


class BlobReader:
    """One blob, or the bytes `first` to `last` (inclusive, None: its end) of it."""

    def __init__(
        self,
        client: RegistryClient,
        question: Question,
        digest: Digest,
        first: int = 0,
        last: int | None = None,
    ) -> None:
        self._client, self._question, self._digest = client, question, digest
        self._is_whole = first == 0 and last is None
        self._position = first
        self._end = None if last is None else last + 1
        self.total: int | None = None
        self._surplus = 0
        self._response: aiohttp.ClientResponse | None = None
        self._is_given_up = False

    async def open(self, *, once: bool = False) -> None:
        """Ask for the blob, again where that may pass, or `once`; NotFound when it is unknown."""
        await (self._open() if once else self._client.repeat(self._open))

    def close(self) -> None:
        """Give the connection back, or end it where bytes are still to come."""
        self._is_given_up = True
        self._drop()

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes; of a whole blob the last chunk only after its digest was found right."""
        if not self._is_whole:
            while chunk := await self._next():
                yield chunk
            return
        hasher, held = self._digest.hasher(), b""
        while chunk := await self._next():
            hasher.update(chunk)
            if held:
                yield held
            held = chunk
        if hasher.hexdigest() != self._digest.hex:
            found = f"{self._digest.algorithm}:{hasher.hexdigest()}"
            raise DigestMismatch(
                f"{self._question.reference}: got {self._position} bytes of {found}"
            )
        if held:
            yield held

    async def _next(self) -> bytes:
        """The next bytes, empty at the end; every progress renews the tries."""
        try:
            return await self._read()
        except ImageToolsError as error:
            if self._is_given_up or not error.temporary:
                raise
            logger.debug("{}; continuing at byte {}", error, self._position)
        return await self._client.repeat(self._continue)

    async def _continue(self) -> bytes:
        if self._response is None:
            await self._open()
        return await self._read()

    async def _read(self) -> bytes:
        response = self._response
        assert response is not None
        while not self._is_complete:
            try:
                chunk = await response.content.readany()
            except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
                self._drop()
                raise network_failure(error, self._question.reference, response.url) from error
            if not chunk:
                self._end_of_body()
            elif chunk := self._wanted(chunk):
                return chunk
        return b""

    @property
    def _is_complete(self) -> bool:
        return self._end is not None and self._position >= self._end

    def _end_of_body(self) -> None:
        if self._end is None:
            self._end = self._position
        if self._position < self._end:
            self._drop()
            told = f"{self._position} of {self._end}"
            raise Unavailable(f"{self._question.reference}: the answer ended after {told} bytes")

    def _wanted(self, chunk: bytes) -> bytes:
        """What of `chunk` was asked for and is not here yet."""
        if self._surplus:
            left = max(0, self._surplus - len(chunk))
            chunk, self._surplus = chunk[self._surplus :], left
        if self._end is not None:
            chunk = chunk[: self._end - self._position]
        self._position += len(chunk)
        return chunk

    async def _open(self) -> None:
        asked = self._asked()
        try:
            self._take(await self._client.open(asked))
        except CopyFailed as error:
            if asked is self._question or not _refuses_part(error):
                raise
            logger.debug("{}; reading it whole", error)
            self._take(await self._client.open(self._question))
            self._client.capabilities.ranges = False

    def _take(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        part = _part(response)
        if part is None or part.first > self._position:
            self._drop()
            said = "answered with another part of the blob"
            raise _OtherPart(f"{self._question.reference}: {said}")
        if self.total is not None and part.total not in (None, self.total):
            self._drop()
            sizes = f"{self.total} bytes before, {part.total} now"
            raise DigestMismatch(f"{self._question.reference}: the blob has changed: {sizes}")
        self._surplus = self._position - part.first
        self.total = self.total if part.total is None else part.total
        if self.total is not None:
            self._end = self.total if self._end is None else min(self._end, self.total)

    def _asked(self) -> Question:
        is_whole = self._position == 0 and self._end is None
        if is_whole or not self._client.capabilities.ranges:
            return self._question
        last = "" if self._end is None else str(self._end - 1)
        headers = {**self._question.headers, "Range": f"bytes={self._position}-{last}"}
        return replace(self._question, headers=headers)


def _refuses_part(error: CopyFailed) -> bool:
    return isinstance(error, _OtherPart) or error.status in _NO_RANGE


def _part(response: aiohttp.ClientResponse) -> BlobRange | None:
    """What the answer says it holds; None where a 206 says nothing usable."""
    if response.status != 206:
        return BlobRange(0, response.content_length)
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if not found:
        return None
    return BlobRange(int(found[1]), None if found[3] == "*" else int(found[3]))
