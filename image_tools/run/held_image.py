"""Read what a tag leads to, for a comparison."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from image_tools.errors import DigestMismatch, InvalidManifest, NotFound
from image_tools.machine.concurrency import driven, together
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
from image_tools.oci.tree import Answer, EntryProblem, Parsed, says_index, walk
from image_tools.run.line.reader import REMEMBERED_BYTES, Reader, Repository
from image_tools.stores.store import ManifestHead
from image_tools.validation.contents import AtDestination

# What an answer says of one manifest; every other failure ends the validation.
OF_ONE_MANIFEST = (NotFound, DigestMismatch, InvalidManifest)
Get = Callable[[Descriptor], Awaitable[Answer]]


@dataclass(slots=True, eq=False)
class Holding:
    """What one repository has under one tag, at the destination or at the source.

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

        Raises NotFound, DigestMismatch or InvalidManifest where the manifest of the tag is lost,
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

        tree = await driven(walk(self.top, wants=_is_open, on_manifest=look), get)
        self.problems = tuple(one for one in tree.problems if says_index(one.entry))
        leaves = await together(self._completed(leaf, configs) for leaf in tree.leaves)
        return replace(held, leaves=tuple(leaves), is_index=isinstance(found, Index))

    async def manifest(self, digest: Digest) -> RawManifest:
        """Return the manifest of `digest`; NotFound where the repository has it not."""
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

        Of a config that is lost nothing is known: whoever looks for its bytes will miss it.
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
