"""A store in memory: what a registry does, without a network, and made to fail as a test wishes."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from image_tools.errors import CopyFailed, IntegrityError, NotFound
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.stores.store import Abilities, ManifestHead


@dataclass(frozen=True, slots=True)
class Call:
    """One question a store was asked; `subject` is a tag, a digest or empty."""

    operation: str
    repository: str
    subject: str = ""


@dataclass(slots=True, eq=False)
class Gate:
    """Holds the calls that come to it until it is opened; `reached` is set by the first one."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def open(self) -> None:
        """Let everybody through, now and later."""
        self.opened.set()


@dataclass(slots=True, eq=False)
class _Trouble:
    operation: str
    repository: str | None
    error: Callable[[], BaseException]
    times: int


@dataclass(slots=True)
class _Repository:
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    manifests: dict[Digest, RawManifest] = field(default_factory=dict)
    tags: dict[str, Digest] = field(default_factory=dict)


class MemoryStore:
    """A whole Store; its content and what it was asked are open to the test.

    Operations are named as the methods of Store and Upload; beside them `chunk` happens before
    each chunk read from a blob, and `receive` before each chunk taken by an upload. With `mounts`
    off every mount begins an upload instead, as a registry may (202). A test may set `abilities`.
    """

    def __init__(
        self, name: str = "memory.example", *, chunk_size: int = 4096, mounts: bool = True
    ) -> None:
        self._name = name
        self.abilities = Abilities()
        self.chunk_size = chunk_size
        self.mounts = mounts
        self.calls: list[Call] = []
        self.repositories: defaultdict[str, _Repository] = defaultdict(_Repository)
        self.open_uploads: list[MemoryUpload] = []
        self.closed = False
        self._troubles: list[_Trouble] = []
        self._gates: list[tuple[str, str | None, Gate]] = []

    # What a test does with it.

    def add_blob(self, repository: str, content: bytes) -> Digest:
        """Lay a blob into a repository."""
        digest = Digest.of(content)
        self.repositories[repository].blobs[digest] = content
        return digest

    def add_manifest(self, repository: str, raw: RawManifest, tag: str | None = None) -> Digest:
        """Lay a manifest into a repository, under a tag too."""
        self.repositories[repository].manifests[raw.digest] = raw
        if tag is not None:
            self.repositories[repository].tags[tag] = raw.digest
        return raw.digest

    def fail(
        self,
        operation: str,
        error: Callable[[], BaseException],
        *,
        repository: str | None = None,
        times: int = 1,
    ) -> None:
        """Let the next `times` calls of `operation` raise what `error` makes."""
        self._troubles.append(_Trouble(operation, repository, error, times))

    def hold(self, operation: str, repository: str | None = None) -> Gate:
        """Let all calls of `operation` wait at a gate."""
        gate = Gate()
        self._gates.append((operation, repository, gate))
        return gate

    def count(self, operation: str, repository: str | None = None) -> int:
        """How often `operation` was asked, in one repository or in all."""
        return sum(
            call.operation == operation and repository in (None, call.repository)
            for call in self.calls
        )

    def places(self, digest: Digest) -> list[str]:
        """The repositories that hold a blob, sorted."""
        return sorted(name for name, held in self.repositories.items() if digest in held.blobs)

    # What a Store does.

    @property
    def name(self) -> str:
        return self._name

    async def manifest_head(self, repository: str, reference: str | Digest) -> ManifestHead | None:
        await self._enter("manifest_head", repository, str(reference))
        found = self._find(repository, reference)
        if found is None:
            return None
        digest, raw = found
        return ManifestHead(digest, raw.media_type, len(raw.content))

    async def manifest(self, repository: str, reference: str | Digest) -> RawManifest:
        await self._enter("manifest", repository, str(reference))
        found = self._find(repository, reference)
        if found is None:
            raise NotFound(f"{self.name}/{repository}: manifest {reference} is unknown")
        if isinstance(reference, Digest):
            reference.verify(found[1].content)
        return found[1]

    async def put_manifest(
        self, repository: str, reference: str | Digest, manifest: RawManifest
    ) -> None:
        await self._enter("put_manifest", repository, str(reference))
        if isinstance(reference, Digest):
            reference.verify(manifest.content)
            self.repositories[repository].manifests[reference] = manifest
        else:
            self.add_manifest(repository, manifest, reference)

    async def blob_size(self, repository: str, digest: Digest) -> int | None:
        await self._enter("blob_size", repository, str(digest))
        content = self._blob(repository, digest)
        return None if content is None else len(content)

    @asynccontextmanager
    async def blob(
        self, repository: str, digest: Digest, *, first: int = 0, last: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        await self._enter("blob", repository, str(digest))
        content = self._blob(repository, digest)
        if content is None:
            raise NotFound(f"{self.name}/{repository}: blob {digest} is unknown")
        if first > 0 and first >= len(content):
            raise CopyFailed(f"{self.name}/{repository}: range not satisfiable", status=416)
        wanted = content[first : None if last is None else last + 1]
        chunks = self._chunks(repository, digest, wanted, whole=first == 0 and last is None)
        try:
            yield chunks
        finally:
            await chunks.aclose()

    async def mount(self, repository: str, digest: Digest, origin: str) -> MemoryUpload | None:
        await self._enter("mount", repository, str(digest))
        content = self._blob(origin, digest)
        if content is None or not self.mounts:
            return MemoryUpload(self, repository)
        self.repositories[repository].blobs[digest] = content
        return None

    async def upload(self, repository: str) -> MemoryUpload:
        await self._enter("upload", repository)
        return MemoryUpload(self, repository)

    async def tags(self, repository: str) -> tuple[str, ...]:
        await self._enter("tags", repository)
        if repository not in self.repositories:
            raise NotFound(f"{self.name}/{repository} is unknown")
        return tuple(sorted(self.repositories[repository].tags))

    async def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        await self._enter("referrers", repository, str(digest))
        held = self.repositories.get(repository)
        found = held.manifests.values() if held is not None else ()
        return tuple(raw.descriptor for raw in found if _subject(raw) == str(digest))

    async def close(self) -> None:
        self.closed = True

    # How.

    async def _enter(self, operation: str, repository: str, subject: str = "") -> None:
        self.calls.append(Call(operation, repository, subject))
        await self._happen(operation, repository)

    async def _happen(self, operation: str, repository: str) -> None:
        await asyncio.sleep(0)
        for held, where, gate in self._gates:
            if held == operation and where in (None, repository):
                gate.reached.set()
                await gate.opened.wait()
        for trouble in self._troubles:
            fits = trouble.operation == operation and trouble.repository in (None, repository)
            if fits and trouble.times > 0:
                trouble.times -= 1
                raise trouble.error()

    def _find(self, repository: str, reference: str | Digest) -> tuple[Digest, RawManifest] | None:
        held = self.repositories.get(repository)
        if held is None:
            return None
        digest = reference if isinstance(reference, Digest) else held.tags.get(reference)
        return (digest, held.manifests[digest]) if digest in held.manifests else None

    def _blob(self, repository: str, digest: Digest) -> bytes | None:
        held = self.repositories.get(repository)
        return None if held is None else held.blobs.get(digest)

    async def _chunks(
        self, repository: str, digest: Digest, content: bytes, *, whole: bool
    ) -> AsyncGenerator[bytes, None]:
        for start in range(0, len(content), self.chunk_size):
            await self._happen("chunk", repository)
            yield content[start : start + self.chunk_size]
        if whole:
            digest.verify(content)


class MemoryUpload:
    """One upload into a MemoryStore; open until it is committed, put or aborted."""

    def __init__(self, store: MemoryStore, repository: str) -> None:
        self._store, self._repository = store, repository
        self._received = bytearray()
        store.open_uploads.append(self)

    async def append(self, chunks: AsyncIterator[bytes]) -> None:
        await self._enter("append")
        await self._receive(chunks)

    async def commit(self, digest: Digest) -> None:
        await self._enter("commit", digest)
        self._end(digest)

    async def put(self, digest: Digest, size: int, chunks: AsyncIterator[bytes]) -> None:
        await self._enter("put", digest)
        await self._receive(chunks)
        if len(self._received) != size:
            raise IntegrityError(f"{len(self._received)} bytes came, {size} were announced")
        self._end(digest)

    async def abort(self) -> None:
        self._store.calls.append(Call("abort", self._repository))
        if self in self._store.open_uploads:
            self._store.open_uploads.remove(self)

    async def _enter(self, operation: str, digest: Digest | None = None) -> None:
        if self not in self._store.open_uploads:
            raise NotFound(f"{self._store.name}/{self._repository}: the upload is unknown")
        await self._store._enter(operation, self._repository, str(digest or ""))

    async def _receive(self, chunks: AsyncIterator[bytes]) -> None:
        async for chunk in chunks:
            await self._store._happen("receive", self._repository)
            self._received += chunk

    def _end(self, digest: Digest) -> None:
        digest.verify(bytes(self._received))
        self._store.repositories[self._repository].blobs[digest] = bytes(self._received)
        self._store.open_uploads.remove(self)


def _subject(raw: RawManifest) -> str:
    subject = json.loads(raw.content).get("subject") or {}
    return str(subject.get("digest", ""))
