"""A request body that is streamed: counted, given up if the receiver stalls, sent only once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from image_tools.errors import TimedOut, Unavailable

STALL_SECONDS = 60.0


class StreamBody(Payload):
    """`chunks` as a body of `size` bytes (None: chunked transfer encoding).

    `stall` is how many seconds the receiver may take no byte. `failure` is what ended the body: an
    error of `chunks` or of this class, not one of the connection.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        reference: str,
        *,
        size: int | None = None,
        stall: float = STALL_SECONDS,
    ) -> None:
        super().__init__(chunks, content_type="application/octet-stream")
        self._size = size
        self._chunks, self._reference, self._stall = chunks, reference, stall
        self._stopped = False
        self.sent = 0
        self.started = False
        self.complete = False
        self.failure: Exception | None = None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002
        """Raise TypeError: the base class wants this method."""
        raise TypeError("a streaming body is no text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send everything; an error is kept in `failure` and raised."""
        if self.started:
            # aiohttp repeats a PUT if an idle connection was closed, but the chunks are gone.
            raise self._failed(Unavailable(f"{self._reference}: the connection was lost"))
        self.started = True
        held: bytes | None = None
        async with aclosing(self._arriving()) as chunks:
            async for chunk in chunks:
                if held is not None:
                    await self._write(writer, held)
                    # One turn of the loop: an early answer is read before the next write fails.
                    await asyncio.sleep(0)
                held = chunk
        # The last chunk is sent when it is known to be the last. Otherwise the answer could come
        # before the body has ended, and the connection could not be used again.
        if held is not None:
            await self._write(writer, held)
        self.complete = True

    async def write_with_length(
        self,
        writer: AbstractStreamWriter,
        content_length: int | None,  # noqa: ARG002
    ) -> None:
        """Send everything; `size` was announced and is checked here."""
        await self.write(writer)

    def stop(self) -> None:
        """Send no further chunk: the server has already answered."""
        self._stopped = True

    async def _arriving(self) -> AsyncGenerator[bytes, None]:
        """Yield the chunks, counted; an error here is that of their source."""
        try:
            async for chunk in self._chunks:
                if self._stopped:
                    break
                self._count(chunk)
                yield chunk
            self._count_end()
        except Exception as error:
            self._failed(error)
            raise

    def _count_end(self) -> None:
        if self._stopped and self.sent != self._size:
            raise ConnectionAbortedError("the server has answered before the end of the body")
        if self._size is not None and self.sent != self._size:
            raise Unavailable(f"{self._reference}: {self.sent} of {self._size} bytes came to send")

    def _count(self, chunk: bytes) -> None:
        self.sent += len(chunk)
        if self._size is not None and self.sent > self._size:
            raise Unavailable(f"{self._reference}: more than {self._size} bytes came to send")

    async def _write(self, writer: AbstractStreamWriter, chunk: bytes) -> None:
        try:
            await asyncio.wait_for(writer.write(chunk), self._stall)
        except asyncio.TimeoutError as error:
            said = f"{self._reference}: the registry took no byte for {self._stall:.0f} s"
            raise self._failed(TimedOut(said)) from error

    def _failed(self, error: Exception) -> Exception:
        if self.failure is None and not self._stopped:
            self.failure = error
        return error


def own_failure(body: object) -> Exception | None:
    """Return the error that ended a body: the cause behind a broken connection."""
    return body.failure if isinstance(body, StreamBody) else None
