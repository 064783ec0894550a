"""An archive as a registry: the `Store` that the exchange, the plan and the run work with."""

# ruff: noqa: ARG002 - repositories share what is in an archive

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import BinaryIO

from loguru import logger

from image_tools.errors import (
    ArchiveDamaged,
    CopyFailed,
    DigestMismatch,
    IntegrityError,
    InvalidManifest,
    NotFound,
)
from image_tools.machine.concurrency import in_thread
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference
from image_tools.stores.archive.archive import Archive, damaged_blob
from image_tools.stores.archive.content import BlobWriter
from image_tools.stores.store import Abilities, Chosen, ManifestHead, Store

PIECE = 1 << 20
BaseBlobs = Mapping[Digest, tuple[Store, str]]


class ArchiveStore:
    """The images under `registry` in an archive.

    Repositories share all blobs and all manifests; only tags belong to one of them. It belongs to
    one event loop; file access runs in threads. `base_blobs` say in which
    repository of which registry the blobs are kept that are not here.
    """

    def __init__(
        self, archive: Archive, registry: str, base_blobs: BaseBlobs | None = None
    ) -> None:
        self.archive, self.registry = archive, registry
        self._base_blobs = {} if base_blobs is None else base_blobs

    @property
    def name(self) -> str:
        """Return the archive's path, for messages."""
        return self.archive.name

    @property
    def abilities(self) -> Abilities:
        """Return that this is an archive."""
        return Abilities(archive=self)

    async def manifest_head(self, repository: str, reference: str | Digest) -> ManifestHead | None:
        """Return the head of a manifest, None when it is not in the archive."""
        try:
            found = await self.manifest(repository, reference)
        except NotFound:
            return None
        except InvalidManifest:
            if isinstance(reference, Digest):
                return None  # A blob: to a registry it is an unknown manifest.
            raise
        except ArchiveDamaged as error:
            if not self.archive.writing:
                raise
            logger.warning("{}; it is saved again", error)
            return None
        if isinstance(reference, Digest) and not await self._has_blobs_of(found):
            return None
        digest = reference if isinstance(reference, Digest) else found.digest
        return ManifestHead(digest, found.media_type, len(found.content))

    async def manifest(self, repository: str, reference: str | Digest) -> RawManifest:
        """Return the manifest, verified; raise NotFound when it is not in the archive."""
        if isinstance(reference, Digest):
            return await in_thread(lambda: self.archive.manifest(reference))
        named = self._named(repository, reference)
        return await in_thread(lambda: self.archive.named_manifest(named))

    async def put_manifest(
        self, repository: str, reference: str | Digest, manifest: RawManifest
    ) -> None:
        """Store `manifest`, durably, under a tag or its digest."""
        if isinstance(reference, Digest):
            reference.verify(manifest.content)
        await in_thread(lambda: self._put(repository, reference, manifest))

    async def blob_size(self, repository: str, digest: Digest) -> int | None:
        """Return the size of a blob in bytes, None when it is neither here nor in its base."""
        return await in_thread(lambda: self.archive.blob_size(digest))

    async def holds(self, digest: Digest) -> bool:
        """Return whether the bytes of a blob are in the archive itself."""
        return await in_thread(lambda: self.archive.content.size(digest)) is not None

    @asynccontextmanager
    async def blob(
        self, repository: str, digest: Digest, *, first: int = 0, last: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a blob from byte `first` to `last`, both inclusive.

        A whole blob with another digest raises ArchiveDamaged in place of its last bytes.
        """
        size = await in_thread(lambda: self.archive.content.size(digest))
        if size is None:
            async with self._lent(digest, first, last) as chunks:
                yield chunks
            return
        if first > 0 and first >= size:
            raise CopyFailed(f"{self.name}: {digest} has no byte {first}", status=416)
        file = await in_thread(
            lambda: self.archive.content.open(digest), dispose=lambda file: file.close()
        )
        try:
            if first == 0 and last is None:
                chunks = self._verified(file, digest, size)
            else:
                chunks = self._part(file, first, size if last is None else min(last + 1, size))
            yield chunks
        finally:
            await in_thread(file.close)

    def _lent(
        self, digest: Digest, first: int, last: int | None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        if digest not in self._base_blobs:
            raise NotFound(f"{self.name}: blob {digest} is not in it")
        store, repository = self._base_blobs[digest]
        return store.blob(repository, digest, first=first, last=last)

    async def mount(self, repository: str, digest: Digest, origin: str) -> ArchiveUpload | None:
        """Return None when the blob is in the archive, else an upload."""
        if await self.blob_size(repository, digest) is not None:
            return None
        return await self.upload(repository)

    async def upload(self, repository: str) -> ArchiveUpload:
        """Return a new upload session."""
        return ArchiveUpload(self.archive)

    async def tags(self, repository: str) -> tuple[str, ...]:
        """Return the tags of a repository; raise NotFound when there are none."""
        place = (self.registry, repository)
        tags = self.archive.images
        found = tuple(str(one.tag) for one in tags if (one.registry, one.repository) == place)
        if not found:
            raise NotFound(f"{self.name}: {self.registry}/{repository} is not in it")
        return found

    async def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        """Return the manifests that name `digest` as their subject."""
        return await in_thread(lambda: self.archive.referrers(digest))

    async def close(self) -> None:
        """Do nothing: the opener of the archive closes it."""

    async def is_whole(self, digest: Digest) -> bool:
        """Return whether all content behind a manifest is here or in the base."""
        return await in_thread(lambda: self.archive.is_whole(digest, with_base=True))

    def chosen(self, image: Reference) -> Chosen | None:
        """Return the platforms that were chosen when `image` was saved; None if unknown."""
        origin = self.archive.origin(image)
        return None if origin is None else origin.chosen

    async def _has_blobs_of(self, manifest: RawManifest) -> bool:
        """Return whether an image has all blobs it needs; otherwise it is saved again."""
        if not self.archive.writing:
            return True
        return await in_thread(lambda: not self.archive.missing(manifest))

    def _named(self, repository: str, tag: str) -> Reference:
        return Reference(self.registry, repository, tag)

    def _put(self, repository: str, reference: str | Digest, manifest: RawManifest) -> None:
        self.archive.add_manifest(manifest)
        if isinstance(reference, str):
            self.archive.add_tag(self._named(repository, reference), manifest)
        else:
            self.archive.add_referrer(manifest)

    async def _verified(
        self, file: BinaryIO, digest: Digest, size: int
    ) -> AsyncGenerator[bytes, None]:
        """Yield the whole blob; its last piece is held back until the digest is verified."""
        hasher, read, held = digest.hasher(), 0, b""

        def step() -> bytes:
            try:
                piece = file.read(PIECE)
            except OSError as error:
                raise ArchiveDamaged(f"{self.name}: {digest}: {error.strerror}") from error
            hasher.update(piece)
            return piece

        while piece := await in_thread(step):
            read += len(piece)
            if held:
                yield held
            held = piece
        if read != size:
            raise ArchiveDamaged(f"{self.name}: blob {digest} has {read} of {size} bytes")
        if hasher.hexdigest() != digest.hex:
            raise damaged_blob(self.name, digest)
        if held:
            yield held

    async def _part(self, file: BinaryIO, first: int, end: int) -> AsyncGenerator[bytes, None]:
        await in_thread(lambda: file.seek(first))
        for start in range(first, end, PIECE):
            count = min(PIECE, end - start)
            piece = await in_thread(partial(file.read, count))
            if len(piece) < count:
                raise ArchiveDamaged(f"{self.name}: a blob ends before its byte {end}")
            yield piece


_COMPRESSED = (
    b"\x1f\x8b",  # gzip
    b"\x28\xb5\x2f\xfd",  # zstd
    b"BZh",
    b"\xfd7zXZ\x00",
    b"PK\x03\x04",
)


class ArchiveUpload:
    """One upload; its blocking work runs in a thread of its own, about 1 MiB at a time.

    In a shared thread, an upload that waits for another blob of its digest could block that one.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="archive")
        self._incoming: BlobWriter | None = None
        self._hashers: dict[str, hashlib._Hash] = {}
        self._received = 0

    async def append(self, chunks: AsyncIterator[bytes]) -> None:
        """Take `chunks` behind those that came before."""
        await self._receive(chunks, None, ("sha256", "sha512"))

    async def commit(self, digest: Digest) -> None:
        """Keep what was received; raise DigestMismatch when it has another digest."""
        await self._keep(digest)

    async def put(self, digest: Digest, size: int, chunks: AsyncIterator[bytes]) -> None:
        """Take a whole blob of `size` bytes and keep it."""
        await self._receive(chunks, size, (digest.algorithm,))
        if self._received != size:
            raise IntegrityError(f"{digest}: {self._received} bytes came, {size} were announced")
        await self._keep(digest)

    async def abort(self) -> None:
        """Discard what was received; never raises."""
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
