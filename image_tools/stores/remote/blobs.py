"""Blobs of a registry: their sizes, and their bytes as a stream that continues by Range."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

import aiohttp
from loguru import logger

from image_tools.errors import CopyFailed, DigestMismatch, ImageToolsError, NotFound, Unavailable
from image_tools.oci.digest import Digest
from image_tools.stores.remote.api import ApiRequest
from image_tools.stores.remote.client import RegistryClient
from image_tools.web.address import named
from image_tools.web.network_failures import network_failure
from image_tools.web.responses import answered_range

# How servers refuse a part of a blob that they have; a missing blob is a 404.
_NO_RANGE = frozenset({400, 403, 405, 406, 409, 410, 412, 415, 416, 422, 501})
# A URL signed for GET refuses HEAD (pulp_container#579).
_NO_HEAD = frozenset({400, 403, 405, 406, 409, 410, 412, 415, 416, 422, 451, 501})
_EMPTY = Digest.of(b"")


class _OtherPart(Unavailable):
    """The answer holds another part of the blob than requested."""


class BlobReader:
    """One blob, or its bytes `first` to `last` (inclusive, None: its end)."""

    def __init__(
        self,
        client: RegistryClient,
        request: ApiRequest,
        digest: Digest,
        first: int = 0,
        last: int | None = None,
    ) -> None:
        self._client, self._request, self._digest = client, request, digest
        self._is_whole = first == 0 and last is None
        self._position = first
        self._end = None if last is None else last + 1
        self.total: int | None = None
        self._surplus = 0
        self._response: aiohttp.ClientResponse | None = None
        self._is_given_up = False

    async def open(self, *, once: bool = False) -> None:
        """Request the blob, repeatedly or `once`; raise NotFound when it is unknown."""
        await (self._open() if once else self._client.repeat(self._open))

    def close(self) -> None:
        """Return the connection, or close it when bytes are still to come."""
        self._is_given_up = True
        self._drop()

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes; the last chunk of a whole blob only after its digest was verified."""
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
                f"{self._request.reference}: got {self._position} bytes of {found}"
            )
        if held:
            yield held

    async def _next(self) -> bytes:
        """Return the next bytes, none at the end; any progress starts the tries again."""
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
                raise network_failure(error, self._request.reference, response.url) from error
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
            raise Unavailable(f"{self._request.reference}: the answer ended after {told} bytes")

    def _wanted(self, chunk: bytes) -> bytes:
        """Return the part of `chunk` that was requested and is still missing."""
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
            if asked is self._request or not _refuses_part(error):
                raise
            logger.debug("{}; reading it whole", error)
            self._take(await self._client.open(self._request))
            self._client.capabilities.ranges = False

    def _take(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        part = answered_range(response)
        if part is None or part.first > self._position:
            self._drop()
            said = "answered with another part of the blob"
            raise _OtherPart(f"{self._request.reference}: {said}")
        if self.total is not None and part.total not in (None, self.total):
            self._drop()
            sizes = f"{self.total} bytes before, {part.total} now"
            raise DigestMismatch(f"{self._request.reference}: the blob has changed: {sizes}")
        self._surplus = self._position - part.first
        self.total = self.total if part.total is None else part.total
        if self.total is not None:
            self._end = self.total if self._end is None else min(self._end, self.total)

    def _asked(self) -> ApiRequest:
        is_whole = self._position == 0 and self._end is None
        if is_whole or not self._client.capabilities.ranges:
            return self._request
        last = "" if self._end is None else str(self._end - 1)
        headers = {**self._request.headers, "Range": f"bytes={self._position}-{last}"}
        return replace(self._request, headers=headers)


def _refuses_part(error: CopyFailed) -> bool:
    return isinstance(error, _OtherPart) or error.status in _NO_RANGE


class BlobSizes:
    """Looks up blobs of one registry, without reading them where HEAD works."""

    def __init__(self, client: RegistryClient) -> None:
        self._client, self._known = client, client.capabilities

    async def of(self, repository: str, digest: Digest) -> int | None:
        """Return the size of a blob in bytes, None when it is not in this repository."""
        if not self._known.blob_heads:
            return await self._by_content(repository, digest)
        request = self.request("HEAD", repository, digest, {200, 404, *_NO_HEAD})
        try:
            answer = await self._client.ask(request)
        except Unavailable as error:
            return await self._in_place_of(error, repository, digest)
        if self._client.says_unknown(answer):
            return None
        # Some gateways send length 0 with every answer to a HEAD.
        says_nothing = not answer.length and digest != _EMPTY
        if answer.status != 200 or answer.length is None or says_nothing:
            size = await self._by_content(repository, digest)
            self._known.blob_heads = False
            return size
        return answer.length

    def request(
        self, method: str, repository: str, digest: Digest, expected: Iterable[int]
    ) -> ApiRequest:
        """Return the request for a blob or for its head."""
        return ApiRequest(
            method=method,
            repository=repository,
            reference=named(self._client.registry, repository, digest),
            path=f"{repository}/blobs/{digest}",
            expected=frozenset(expected),
        )

    async def _in_place_of(self, error: Unavailable, repository: str, digest: Digest) -> int | None:
        """Return the size told by a GET after a HEAD failed; raise `error` if that fails too."""
        if not error.answered:
            raise error
        try:
            size = await self._by_content(repository, digest, once=True)
        except ImageToolsError as second:
            raise error from second
        self._known.note_failing_head(error, blobs=True)
        return size

    async def _by_content(
        self, repository: str, digest: Digest, *, once: bool = False
    ) -> int | None:
        """Return the size told by a GET of the first byte: for registries without HEAD.

        If that tells no size either, the blob is read and counted.
        """
        request = self.request("GET", repository, digest, {200, 206})
        reader = BlobReader(self._client, request, digest, first=0, last=0)
        try:
            await reader.open(once=once)
        except NotFound:
            return None
        finally:
            reader.close()
        return await self._counted(request, digest) if reader.total is None else reader.total

    async def _counted(self, request: ApiRequest, digest: Digest) -> int:
        reader, size = BlobReader(self._client, request, digest), 0
        try:
            await reader.open()
            async for chunk in reader.chunks():
                size += len(chunk)
        finally:
            reader.close()
        return size
