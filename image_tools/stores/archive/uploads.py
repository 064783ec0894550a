"""Blobs on their way into an archive: streamed, hashed, and kept when the digest is right."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from image_tools.errors import DigestMismatch, IntegrityError
from image_tools.machine.threads import in_thread
from image_tools.oci.digest import Digest
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.content import Incoming

PIECE = 1 << 20
_COMPRESSED = (
    b"\x1f\x8b",  # gzip
    b"\x28\xb5\x2f\xfd",  # zstd
    b"BZh",
    b"\xfd7zXZ\x00",
    b"PK\x03\x04",
)


class ArchiveUpload:
    """One upload; its blocking work is done in a thread of its own, about 1 MiB at a time.

    A thread of its own, because one that waits for its turn to write must not keep those from
    writing whom it waits for.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="archive")
        self._incoming: Incoming | None = None
        self._hashers: dict[str, hashlib._Hash] = {}
        self._received = 0

    async def append(self, chunks: AsyncIterator[bytes]) -> None:
        """Take `chunks` behind what came before."""
        await self._receive(chunks, None, ("sha256", "sha512"))

    async def commit(self, digest: Digest) -> None:
        """Keep what was received; DigestMismatch when it has not this digest."""
        await self._keep(digest)

    async def put(self, digest: Digest, size: int, chunks: AsyncIterator[bytes]) -> None:
        """Take a whole blob of `size` bytes and keep it."""
        await self._receive(chunks, size, (digest.algorithm,))
        if self._received != size:
            raise IntegrityError(f"{digest}: {self._received} bytes came, {size} were announced")
        await self._keep(digest)

    async def abort(self) -> None:
        """Forget what was received; never raises."""
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            await in_thread(incoming.drop, self._thread)
        self._thread.shutdown(wait=False)

    async def _receive(
        self, chunks: AsyncIterator[bytes], size: int | None, algorithms: tuple[str, ...]
    ) -> None:
        for name in algorithms:
            self._hashers.setdefault(name, hashlib.new(name))
        pending, count = list[bytes](), 0
        async for chunk in chunks:
            pending.append(chunk)
            count += len(chunk)
            if count >= PIECE:
                await self._take(b"".join(pending), size)
                pending, count = [], 0
        if pending or self._incoming is None:
            await self._take(b"".join(pending), size)

    async def _take(self, piece: bytes, size: int | None) -> None:
        self._received += len(piece)
        await in_thread(lambda: self._write(piece, size), self._thread)

    def _write(self, piece: bytes, size: int | None) -> None:
        for hasher in self._hashers.values():
            hasher.update(piece)
        if self._incoming is None:
            compressible = not piece.startswith(_COMPRESSED)
            self._incoming = self._archive.content.begin(size, compressible=compressible)
        self._incoming.write(piece)

    async def _keep(self, digest: Digest) -> None:
        if self._incoming is None:  # an empty blob
            await self.append(_nothing())
        found = self._hashers[digest.algorithm].hexdigest()
        if found != digest.hex:
            raise DigestMismatch(f"expected {digest}, got {digest.algorithm}:{found}")
        incoming = self._incoming
        assert incoming is not None
        await in_thread(lambda: incoming.finish(digest), self._thread)
        self._incoming = None
        self._thread.shutdown(wait=False)


async def _nothing() -> AsyncIterator[bytes]:
    yield b""
