"""What a run moved: counted where every byte passes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(slots=True)
class Account:
    """The book of one image: bytes read from its source, bytes written to its destination.

    `parent` is the run's own account, which adds up all images.
    """

    parent: Account | None = None
    bytes_read: int = 0
    bytes_written: int = 0

    def read(self, count: int) -> None:
        """Add `count` bytes that came from a source."""
        self.bytes_read += count
        if self.parent is not None:
            self.parent.read(count)

    def wrote(self, count: int) -> None:
        """Add `count` bytes that went to a destination."""
        self.bytes_written += count
        if self.parent is not None:
            self.parent.wrote(count)

    async def reading(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks, counted as read."""
        async for chunk in chunks:
            self.read(len(chunk))
            yield chunk

    async def writing(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks, counted as written when they are handed on.

        Not behind that: nobody asks for a next chunk once the server has answered to the last.
        """
        async for chunk in chunks:
            self.wrote(len(chunk))
            yield chunk
