"""Read what a tag leads to, and walk behind its index: is everything there and intact?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum

from image_tools.errors import (
    ArchiveDamaged,
    DigestMismatch,
    InvalidManifest,
    NotFound,
    Unavailable,
)
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
from image_tools.oci.tree import Answer, EntryProblem, Fault, Parsed, says_index, walk
from image_tools.run.reader import REMEMBERED_BYTES, Reader, Repository
from image_tools.stores.store import ManifestHead
from image_tools.validation.contents import AtDestination
from image_tools.validation.verdict import Names, elsewhere

READERS = 16
_PARTS = 10_000


class Depth(Enum):
    """How deep a validation looks: what the index says, what lies behind it, what that contains."""

    DIGEST = "digest"
    TREE = "tree"
    CONTENT = "content"


@dataclass(slots=True, eq=False)
class Walk:
    """Walks from a tag to every child and blob of one repository, asking the registry itself.

    `origin` is the repository of the source. At depth CONTENT the bytes of a `sample` (0 to 1) of
    the blobs are read and hashed; which ones depends on their digests alone. `found_wrong` is set
    once the registry says that it has something and does not give it out as it should be, `decayed`
    once an archive has other bytes than it says;
    `warnings` are about foreign layers that are at neither end.
    """

    holding: Holding
    origin: Repository
    names: Names
    depth: Depth
    sample: float = 1.0
    found_wrong: bool = field(default=False, init=False)
    decayed: bool = field(default=False, init=False)
    warnings: list[str] = field(default_factory=list, init=False)
    _found: list[str] = field(default_factory=list, init=False)
    _images: list[Manifest] = field(default_factory=list, init=False)
    _seen: set[tuple[Digest, int]] = field(default_factory=set, init=False)
    _foreign: set[Digest] = field(default_factory=set, init=False)
    _readers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READERS))

    async def problems(self, complete: Iterable[Descriptor]) -> tuple[str, ...]:
        """Return what is missing or damaged below the tag, as far as it leads to `complete`."""
        top = self.holding.top
        assert top is not None
        digests = frozenset(entry.digest for entry in complete)
        asking = walk(
            top,
            wants=lambda entry: says_index(entry) or entry.digest in digests,
            on_manifest=self._note,
        )
        tree = await run_walk_async(asking, self.answer, self._check)
        return (*self.said(tree.problems), *self._found)

    def said(self, problems: Iterable[EntryProblem]) -> tuple[str, ...]:
        """Return what `problems` are called in reports."""
        return tuple(map(self._said, problems))

    async def answer(self, entry: Descriptor) -> Answer:
        """Return the manifest of `entry`, or what is wrong with it.

        docker-registry 2.8 answers 500 for a manifest that is not JSON any more.
        """
        try:
            return await self.holding.answer(entry)
        except ArchiveDamaged as error:
            return error
        except Unavailable as error:
            await self._ask_for_top(error)
            return error

    def _note(self, _entry: Descriptor, _raw: RawManifest, found: Parsed) -> None:
        if isinstance(found, Manifest):
            self._images.append(found)

    async def _check(self) -> None:
        """Look for the blobs of the images that were read since the last time."""
        images, self._images = self._images, []
        for problems in await together(map(self._image, images)):
            self._found += problems

    async def _image(self, image: Manifest) -> list[str]:
        fresh = [blob for blob in image.blobs if (blob.digest, blob.size) not in self._seen]
        self._seen |= {(blob.digest, blob.size) for blob in fresh}
        known = {digest for digest, _ in self._seen} | self._foreign
        foreign = [layer for layer in image.foreign if layer.digest not in known]
        self._foreign |= {layer.digest for layer in foreign}
        found = await together((*map(self._blob, fresh), *map(self._foreign_layer, foreign)))
        return [problem for problem in found if problem]

    async def _blob(self, blob: Descriptor) -> str:
        async with self._readers:
            size = await self._size(self.holding.repository, blob)
            return self._lost(blob) if size is None else await self._held(blob, size)

    async def _foreign_layer(self, layer: Descriptor) -> str:
        """Return what is wrong with a layer that need only be at its addresses.

        If the source has it, it is copied like other layers, and has to be there.
        """
        async with self._readers:
            size = await self._size(self.holding.repository, layer)
            if size is not None:
                return await self._held(layer, size)
            if await self._size(self.origin, layer) is not None:
                return self._lost(layer)
        self.warnings.append(elsewhere(layer, self.names))
        return ""

    async def _size(self, repository: Repository, blob: Descriptor) -> int | None:
        return await repository.store.blob_size(repository.name, blob.digest)

    async def _held(self, blob: Descriptor, size: int) -> str:
        if size != blob.size:
            return self._wrong(blob.digest, f"it has {size} bytes, not {blob.size}")
        if self.depth is not Depth.CONTENT or not is_sampled(blob.digest, self.sample):
            return ""
        archive = self.holding.repository.store.abilities.archive
        if archive is not None and not await archive.holds(blob.digest):
            return ""  # A delta relies on it: it lies where the base is, and is not read there.
        return await self._content(blob)

    async def _content(self, blob: Descriptor) -> str:
        store, name = self.holding.repository.store, self.holding.repository.name
        try:
            async with store.blob(name, blob.digest) as chunks:
                async for _ in chunks:
                    pass
        except ArchiveDamaged as error:
            return self._decayed(blob.digest, f"the blob is damaged: {error}")
        except (DigestMismatch, NotFound) as error:
            return self._wrong(blob.digest, f"the blob is damaged: {error}")
        except Unavailable as error:
            # docker-registry 2.8 breaks off a blob that it remembers and has lost.
            await self._ask_for_top(error)
            return self._wrong(blob.digest, f"the blob cannot be read: {error}")
        return ""

    async def _ask_for_top(self, error: Unavailable) -> None:
        """Raise what keeps the registry from answering, where it does not answer at all."""
        if self.holding.top is None:
            raise error
        repository, top = self.holding.repository, self.holding.top.digest
        await repository.store.manifest_head(repository.name, top)

    def _said(self, problem: EntryProblem) -> str:
        digest, error = problem.entry.digest, problem.error
        if problem.fault is not Fault.LOST:
            return self._wrong(digest, str(error))
        if isinstance(error, NotFound):
            return f"{self._name(digest)}: child manifest does not exists"
        if isinstance(error, ArchiveDamaged):
            return self._decayed(digest, f"the manifest is damaged: {error}")
        what = "cannot be read" if isinstance(error, Unavailable) else "is damaged"
        return self._wrong(digest, f"the manifest {what}: {error}")

    def _lost(self, blob: Descriptor) -> str:
        return f"{self._name(blob.digest)}: blob does not exists"

    def _decayed(self, digest: Digest, what: str) -> str:
        self.decayed = True
        return f"{self._name(digest)}: {what}"

    def _wrong(self, digest: Digest, what: str) -> str:
        self.found_wrong = True
        return f"{self._name(digest)}: {what}"

    def _name(self, digest: Digest) -> str:
        return f"[{self.names.place}@{digest}]"


def is_sampled(digest: Digest, sample: float) -> bool:
    """Return whether a blob belongs to the part `sample` of all: always the same ones."""
    return int(digest.hex[:8], 16) % _PARTS < round(sample * _PARTS)


# Failures of a single manifest; every other failure ends the validation.
OF_ONE_MANIFEST = (NotFound, DigestMismatch, InvalidManifest)
Get = Callable[[Descriptor], Awaitable[Answer]]


@dataclass(slots=True, eq=False)
class Holding:
    """The content of one repository under one tag, at the destination or at the source.

    `is_fresh`: the repository itself is asked for every manifest, even for one that was read
    elsewhere with the same digest; what was read here is kept, up to 32 MiB. `top` and `problems`
    are there once `held` was awaited: the manifest under the tag, and the indexes in it that could
    not be followed.
    """

    reader: Reader
    repository: Repository
    is_fresh: bool
    top: RawManifest | None = field(default=None, init=False)
    problems: tuple[EntryProblem, ...] = field(default=(), init=False)
    _kept: dict[Digest, RawManifest] = field(default_factory=dict, init=False)
    _room: int = field(default=REMEMBERED_BYTES, init=False)

    async def held(self, head: ManifestHead, get: Get) -> AtDestination:
        """Return what is under the tag of `head`; `get` gives the manifests behind it.

        Raise NotFound, DigestMismatch or InvalidManifest where the manifest of the tag is lost,
        damaged or none.
        """
        self.top = await self.manifest(head.digest)
        found = parse(self.top)
        held = AtDestination(
            digest=head.digest, media_type=head.media_type, leaves=(), is_index=False
        )
        if isinstance(found, Schema1):
            return held
        configs: dict[Digest, Descriptor] = {}

        def look(entry: Descriptor, _raw: RawManifest, parsed: Parsed) -> None:
            if isinstance(parsed, Manifest) and parsed.config is not None and parsed.is_image:
                configs[entry.digest] = parsed.config

        tree = await run_walk_async(walk(self.top, wants=_is_open, on_manifest=look), get)
        self.problems = tuple(one for one in tree.problems if says_index(one.entry))
        leaves = await together(self._completed(leaf, configs) for leaf in tree.leaves)
        return replace(held, leaves=tuple(leaves), is_index=isinstance(found, Index))

    async def manifest(self, digest: Digest) -> RawManifest:
        """Return the manifest of `digest`; raise NotFound where the repository has it not."""
        if not self.is_fresh:
            return await self.reader.manifest(self.repository, digest)
        if digest in self._kept:
            return self._kept[digest]
        raw = await self.repository.store.manifest(self.repository.name, digest)
        if len(raw.content) <= self._room:
            self._room -= len(raw.content)
            self._kept[digest] = raw
        return raw

    async def answer(self, entry: Descriptor) -> Answer:
        """Return the manifest of `entry`, or what is wrong with it."""
        try:
            return await self.manifest(entry.digest)
        except OF_ONE_MANIFEST as error:
            return error

    async def _completed(self, leaf: Descriptor, configs: dict[Digest, Descriptor]) -> Descriptor:
        """Return the entry with its platform, read from the config where it states none.

        A lost config tells nothing here; the check of the blobs reports it.
        """
        if not _is_open(leaf) or leaf.digest not in configs:
            return leaf
        try:
            content = await self.reader.config(self.repository, configs[leaf.digest])
        except OF_ONE_MANIFEST:
            return leaf
        return replace(leaf, platform=leaf.platform.completed_from(config_platform(content)))


def _is_open(entry: Descriptor) -> bool:
    """Return whether more than the entry itself has to be read to know what it is."""
    stated = entry.platform
    return says_index(entry) or not (entry.is_attestation or (stated.os and stated.architecture))
