"""Looking behind an index: are its manifests and blobs there, and are they what they say?"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum

from image_tools.errors import (
    ArchiveDamaged,
    DigestMismatch,
    InvalidManifest,
    NotFound,
    Unavailable,
)
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, Manifest, RawManifest, parse
from image_tools.oci.tree import DEEPEST_NESTING
from image_tools.run.reading import Repository
from image_tools.run.together import together

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

    `place` is what people call the tag. At depth CONTENT the bytes of a `sample` (0 to 1) of the
    blobs are read and hashed; which ones depends on their digests alone. `found_wrong` is set once
    the registry says that it has something and does not give it out as it should be.
    """

    repository: Repository
    place: str
    depth: Depth
    sample: float = 1.0
    found_wrong: bool = field(default=False, init=False)
    _top: Digest | None = field(default=None, init=False)
    _seen: set[Digest] = field(default_factory=set)
    _walked: dict[Digest, int | None] = field(default_factory=dict)
    _readers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READERS))

    async def problems(self, top: Digest, wanted: tuple[Descriptor, ...]) -> tuple[str, ...]:
        """What is missing or damaged below `top`, as far as it leads to `wanted` entries."""
        digests = frozenset(entry.digest for entry in wanted)
        self._top = top
        return tuple(await self._tree(top, None, digests, DEEPEST_NESTING + 1))

    async def _tree(
        self, digest: Digest, size: int | None, wanted: frozenset[Digest], levels: int
    ) -> list[str]:
        if digest in self._walked:
            # Four indexes that name each other ten thousand times would be walked for ever.
            same = self._walked[digest] == size
            return [] if same else [self._wrong(digest, f"the index says it has {size} bytes, too")]
        self._walked[digest] = size
        raw = await self._manifest(digest)
        if isinstance(raw, str):
            return [raw]
        if size is not None and size != len(raw.content):
            said = f"it has {len(raw.content)} bytes, the index says {size}"
            return [self._wrong(digest, said)]
        found = parse(raw)
        if isinstance(found, Manifest):
            return await self._image(found)
        if not isinstance(found, Index) or not levels:
            return []
        below = await together(
            self._tree(entry.digest, entry.size, wanted, levels - 1)
            for entry in found.entries
            if entry.digest in wanted or entry.media_type in media.INDEXES
        )
        return [problem for problems in below for problem in problems]

    async def _manifest(self, digest: Digest) -> RawManifest | str:
        try:
            raw = await self.repository.store.manifest(self.repository.name, digest)
            parse(raw)
        except NotFound:
            return f"{self._name(digest)}: child manifest does not exists"
        except ArchiveDamaged as error:
            return f"{self._name(digest)}: the manifest is damaged: {error}"
        except (DigestMismatch, InvalidManifest) as error:
            return self._wrong(digest, f"the manifest is damaged: {error}")
        except Unavailable as error:
            return await self._unreadable(digest, "manifest", error)
        return raw

    async def _image(self, image: Manifest) -> list[str]:
        fresh = [blob for blob in image.blobs if blob.digest not in self._seen]
        self._seen |= {blob.digest for blob in fresh}
        found = await together(self._blob(blob) for blob in fresh)
        return [problem for problem in found if problem]

    async def _blob(self, blob: Descriptor) -> str:
        async with self._readers:
            size = await self.repository.store.blob_size(self.repository.name, blob.digest)
            if size is None:
                return f"{self._name(blob.digest)}: blob does not exists"
            if size != blob.size:
                return self._wrong(blob.digest, f"it has {size} bytes, not {blob.size}")
            if self.depth is Depth.CONTENT and is_sampled(blob.digest, self.sample):
                return await self._content(blob)
        return ""

    async def _content(self, blob: Descriptor) -> str:
        store, name = self.repository.store, self.repository.name
        try:
            async with store.blob(name, blob.digest) as chunks:
                async for _ in chunks:
                    pass
        except ArchiveDamaged as error:
            return f"{self._name(blob.digest)}: the blob is damaged: {error}"
        except (DigestMismatch, NotFound) as error:
            return self._wrong(blob.digest, f"the blob is damaged: {error}")
        except Unavailable as error:
            return await self._unreadable(blob.digest, "blob", error)
        return ""

    async def _unreadable(self, digest: Digest, what: str, error: Unavailable) -> str:
        """What is to be said of content that cannot be read, though the registry answers else.

        docker-registry 2.8 breaks off a blob it remembers and has lost, and answers 500 for a
        manifest that is no JSON any more.
        """
        if self._top in (None, digest):
            raise error
        await self.repository.store.manifest_head(self.repository.name, self._top)
        return self._wrong(digest, f"the {what} cannot be read: {error}")

    def _wrong(self, digest: Digest, what: str) -> str:
        self.found_wrong = True
        return f"{self._name(digest)}: {what}"

    def _name(self, digest: Digest) -> str:
        return f"[{self.place}@{digest}]"


def is_sampled(digest: Digest, sample: float) -> bool:
    """Whether a blob belongs to the part `sample` of all: always the same ones."""
    return int(digest.hex[:8], 16) % _PARTS < round(sample * _PARTS)
