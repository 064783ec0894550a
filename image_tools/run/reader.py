"""Read images of a store: every manifest and config once in a run."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from loguru import logger

from image_tools.errors import ArchiveDamaged, DigestMismatch, InvalidManifest, NotFound
from image_tools.machine.concurrency import run_walk_async, together
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import (
    Index,
    Manifest,
    RawManifest,
    Schema1,
    config_platform,
    parse,
)
from image_tools.oci.tree import (
    Answer,
    Fault,
    OnManifest,
    Tree,
    Wants,
    everything,
    says_index,
    walk,
)
from image_tools.plan.inputs import ChildManifest, DestinationImage, SourceImage
from image_tools.stores.remote.limits.meter import cover_at_least
from image_tools.stores.store import ManifestHead, Store

REMEMBERED_BYTES = 32 * 1024 * 1024
MAXIMUM_CONFIG_SIZE = 8 * 1024 * 1024
_WRONG_CONTENT = (NotFound, InvalidManifest, DigestMismatch, ArchiveDamaged)


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository of one store."""

    store: Store
    name: str


@dataclass(frozen=True, slots=True)
class _Leaf:
    """An entry with its platform; `is_lost` where that cannot be read any more."""

    entry: Descriptor
    is_lost: bool = False


class Reader:
    """Reads manifests and configs by digest and remembers the latest of them, `bound` bytes in all.

    Belongs to the event loop.
    """

    def __init__(self, bound: int = REMEMBERED_BYTES) -> None:
        self._bound = bound
        self._contents: OrderedDict[Digest, RawManifest] = OrderedDict()
        self._locks: WeakValueDictionary[Digest, asyncio.Lock] = WeakValueDictionary()
        self._size = 0

    async def manifest(self, repository: Repository, digest: Digest) -> RawManifest:
        """Return the manifest of `digest`; raise NotFound if the repository does not have it."""
        return await self._once(digest, lambda: repository.store.manifest(repository.name, digest))

    async def config(self, repository: Repository, config: Descriptor) -> bytes:
        """Return the bytes of an image's config, at most 8 MiB."""

        async def read() -> RawManifest:
            return RawManifest(config.media_type, await _right(repository, config))

        return (await self._once(config.digest, read)).content

    def known(self, digest: Digest) -> RawManifest | None:
        """Return the manifest or config of `digest` if it is still remembered."""
        return self._contents.get(digest)

    async def child(self, repository: Repository, descriptor: Descriptor) -> ChildManifest:
        """Return the manifest behind one entry; raise InvalidManifest if it is not an image
        manifest.
        """
        raw = await self.manifest(repository, descriptor.digest)
        found = parse(raw)
        if not isinstance(found, Manifest):
            raise InvalidManifest(f"{descriptor.digest} is no image manifest")
        return ChildManifest(descriptor, raw, found)

    async def source_image(self, repository: Repository, top: RawManifest) -> SourceImage:
        """Return the image of `top`: nested indexes opened, platforms completed by the configs."""
        found = parse(top)
        if isinstance(found, Index):
            cover_at_least(self._unread(found))
            tree = (await self.tree(repository, top)).checked(Fault.MISSTATED)
            leaves = await self._leaves(repository, tree.leaves)
            return SourceImage(top=top, leaves=leaves, nested=tree.nested)
        if isinstance(found, Schema1):
            raise InvalidManifest("schema 1 has to be converted first")
        top = RawManifest(found.media_type, top.content)
        leaf = await self._completed(repository, top.descriptor)
        return SourceImage(
            top=top, leaves=(leaf,), single=True, artifact=not leaf.platform.is_known
        )

    async def destination_image(
        self, repository: Repository, head: ManifestHead
    ) -> DestinationImage:
        """Return what lies under a destination's tag; raise InvalidManifest if it cannot be merged
        with.

        Entries whose manifests are missing or damaged are returned apart, as far as that is seen:
        only nested indexes, and entries that state no platform, are read.
        """
        top = await self.manifest(repository, head.digest)
        found = parse(top)
        if isinstance(found, Index):
            return await self._destination_index(repository, top)
        if isinstance(found, Schema1):
            raise InvalidManifest("it is a schema 1 image, which no list can take up")
        leaf = await self._completed(
            repository, replace(top.descriptor, media_type=found.media_type)
        )
        return DestinationImage(top, (leaf,) if leaf.platform.is_known else (), is_index=False)

    async def tree(
        self,
        repository: Repository,
        top: RawManifest,
        *,
        digest: Digest | None = None,
        wants: Wants = says_index,
        on_manifest: OnManifest | None = None,
    ) -> Tree:
        """Return the tree below `top`; see `oci.tree.walk`.

        Content that is missing or damaged is a problem of the tree; other failures are raised.
        """
        asking = walk(top, digest=digest, wants=wants, on_manifest=on_manifest)
        return await run_walk_async(asking, lambda entry: self._answer(repository, entry))

    async def tree_once(
        self, repository: Repository, top: RawManifest, on_manifest: OnManifest
    ) -> Tree:
        """Return the tree below `top`, all manifests read; each index in it is opened once."""
        asking = walk(top, wants=everything, on_manifest=on_manifest, repeats=False)
        return await run_walk_async(asking, lambda entry: self._answer(repository, entry))

    async def _destination_index(
        self, repository: Repository, top: RawManifest
    ) -> DestinationImage:
        tree = (await self.tree(repository, top)).checked(Fault.MISSTATED, Fault.LOST)
        leaves = await together(self._as_far_as_there(repository, leaf) for leaf in tree.leaves)
        lost = (*tree.entries_with(Fault.LOST), *(leaf.entry for leaf in leaves if leaf.is_lost))
        return DestinationImage(
            top,
            tuple(leaf.entry for leaf in leaves if not leaf.is_lost),
            is_index=True,
            lost=tuple(dict.fromkeys(lost)),
        )

    def _unread(self, index: Index) -> int:
        """Return how many manifests must be read to open `index`, as far as it tells."""
        asked = {entry.digest for entry in index.entries if not _says_enough(entry)}
        return len(asked - self._contents.keys())

    async def _leaves(
        self, repository: Repository, leaves: tuple[Descriptor, ...]
    ) -> tuple[Descriptor, ...]:
        return tuple(await together(self._completed(repository, leaf) for leaf in leaves))

    async def _as_far_as_there(self, repository: Repository, leaf: Descriptor) -> _Leaf:
        try:
            return _Leaf(await self._completed(repository, leaf))
        except _WRONG_CONTENT:
            return _Leaf(leaf, is_lost=True)

    async def _answer(self, repository: Repository, entry: Descriptor) -> Answer:
        try:
            return await self.manifest(repository, entry.digest)
        except _WRONG_CONTENT as error:
            return error

    async def _completed(self, repository: Repository, entry: Descriptor) -> Descriptor:
        """Return the entry with its platform, read from the config only if the entry has none."""
        if _says_enough(entry):
            return entry
        found = parse(await self.manifest(repository, entry.digest))
        if not isinstance(found, Manifest) or found.config is None or not found.is_image:
            return entry
        config = config_platform(await self.config(repository, found.config))
        return replace(entry, platform=entry.platform.completed_from(config))

    async def _once(
        self, digest: Digest, read: Callable[[], Awaitable[RawManifest]]
    ) -> RawManifest:
        lock = self._locks.setdefault(digest, asyncio.Lock())
        async with lock:
            if digest not in self._contents:
                self.remember(digest, await read())
            self._contents.move_to_end(digest)
            return self._contents[digest]

    def remember(self, digest: Digest, raw: RawManifest) -> None:
        """Keep `raw`, the bytes of `digest`; the oldest ones go when there are too many."""
        if digest in self._contents:
            return
        self._contents[digest] = raw
        self._size += len(raw.content)
        while self._size > self._bound and len(self._contents) > 1:
            self._size -= len(self._contents.popitem(last=False)[1].content)


def _says_enough(entry: Descriptor) -> bool:
    """Return whether an entry of an index tells its platform, so that nothing behind it must be
    read.
    """
    if says_index(entry):
        return False
    stated = entry.platform
    return entry.is_attestation or bool(stated.os and stated.architecture)


async def _right(repository: Repository, blob: Descriptor) -> bytes:
    """Return the bytes of a blob, read once more if they are wrong.

    A store repeats what else may pass; of a stream it has given most away by then.
    """
    try:
        return await _whole(repository, blob)
    except DigestMismatch as error:
        logger.debug("{}; reading it once more", error)
    try:
        return await _whole(repository, blob)
    except DigestMismatch as error:
        error.exhausted = True
        raise


async def _whole(repository: Repository, blob: Descriptor) -> bytes:
    if blob.size > MAXIMUM_CONFIG_SIZE:
        raise InvalidManifest(f"the config {blob.digest} has {blob.size} bytes")
    content = bytearray()
    async with repository.store.blob(repository.name, blob.digest) as chunks:
        async for chunk in chunks:
            content += chunk
            if len(content) > MAXIMUM_CONFIG_SIZE:
                raise InvalidManifest(f"the config {blob.digest} is longer than it says")
    return bytes(content)
