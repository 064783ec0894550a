"""Reading one image of a registry, with as few questions as its description needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from platform import machine

from image_tools.commands.inspection import (
    Attached,
    Inspection,
    PlatformImage,
    created_in,
    sum_of,
)
from image_tools.errors import InvalidManifest, NotFound, PlatformMissing
from image_tools.machine.concurrency import together
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Manifest, RawManifest, Schema1, parse
from image_tools.oci.platform import Platform
from image_tools.oci.reference import Reference
from image_tools.plan.referrers import cosign_tags, kind_of
from image_tools.plan.selection import EVERYTHING, Fit, Selection
from image_tools.run.line.reader import Reader, Repository
from image_tools.stores.store import Store


class Inspector:
    """Looks at the image `reference` in `store`; belongs to the event loop."""

    def __init__(self, store: Store, reference: Reference, reader: Reader) -> None:
        self._store, self._reference, self._reader = store, reference, reader
        self._repository = Repository(store, reference.repository)

    async def image(
        self, selection: Selection = EVERYTHING, *, deep: bool, attached: bool
    ) -> Inspection:
        """The image with its platforms of `selection`; PlatformMissing when it has none of them.

        `deep` reads every platform's manifest and config, for sizes and dates; `attached` asks
        for signatures and the like, of the image and of each platform.
        """
        digest, top = await self._top()
        leaves = await self._leaves(digest, top)
        attestations = [leaf for leaf in leaves if leaf.is_attestation]
        images = await together(
            self._detailed(leaf, top) if deep or leaf.digest == digest else _bare(leaf)
            for leaf in self._wanted(leaves, selection)
        )
        listed = {str(leaf.digest) for leaf in leaves}
        subjects = dict.fromkeys((digest, *(image.digest for image in images)))
        found = await together(self._attached(one) for one in subjects) if attached else ()
        return Inspection(
            reference=str(self._reference),
            digest=digest,
            media_type=top.media_type,
            images=tuple(_attested(image, attestations) for image in images),
            orphans=tuple(str(a.digest) for a in attestations if a.subject not in listed),
            attached=tuple(one for about in found for one in about),
        )

    async def raw(self, selection: Selection | None) -> bytes:
        """The manifest's bytes: the top one's, or those of the first platform of `selection`."""
        if selection is None:
            # One question is enough here: the answer is verified like any other.
            found = await self._store.manifest(self._reference.repository, self._reference.target)
            return found.content
        return (await self._chosen(selection)).content

    async def config(self, selection: Selection | None) -> bytes:
        """The bytes of the config of one platform: this machine's when `selection` is None."""
        found = parse(await self._chosen(selection))
        if not isinstance(found, Manifest):
            raise InvalidManifest(f"{self._reference}: a schema 1 image has no config", advice="")
        if found.config is None:
            raise InvalidManifest(
                f"{self._reference}: an artifact manifest has no config", advice=""
            )
        return await self._reader.config(self._repository, found.config)

    async def _top(self) -> tuple[Digest, RawManifest]:
        head = await self._store.manifest_head(self._reference.repository, self._reference.target)
        if head is None:
            raise NotFound(f"{self._reference}: not found (404)", status=404)
        return head.digest, await self._reader.manifest(self._repository, head.digest)

    async def _leaves(self, digest: Digest, top: RawManifest) -> tuple[Descriptor, ...]:
        found = parse(top)
        if isinstance(found, Schema1):
            return (replace(top.descriptor, digest=digest, platform=found.platform),)
        return (await self._reader.source_image(self._repository, top)).leaves

    async def _chosen(self, selection: Selection | None) -> RawManifest:
        digest, top = await self._top()
        leaves = await self._leaves(digest, top)
        images = [leaf for leaf in leaves if not leaf.is_attestation]
        if selection is None:
            selection = EVERYTHING if len(images) == 1 else _this_machine()
        first = self._wanted(leaves, selection)[0]
        return await self._reader.manifest(self._repository, first.digest)

    def _wanted(self, leaves: Sequence[Descriptor], selection: Selection) -> list[Descriptor]:
        images = [leaf for leaf in leaves if not leaf.is_attestation]
        found = [leaf for leaf in images if selection.fit(leaf.platform) is Fit.CHOSEN]
        if not found and selection != EVERYTHING:
            has = ", ".join(str(leaf.platform) for leaf in images) or "no platform at all"
            raise PlatformMissing(
                f"{self._reference}: no image for {_said(selection)}", advice=f"it has {has}"
            )
        return found

    async def _detailed(self, leaf: Descriptor, top: RawManifest) -> PlatformImage:
        bare = await _bare(leaf)
        found = parse(top)
        if isinstance(found, Schema1):
            return replace(bare, layers=len(found.layers))
        try:
            child = await self._reader.child(self._repository, leaf)
            config = child.manifest.config if child.manifest.is_image else None
            created = await self._created(config) if config is not None else ""
        except NotFound:
            return replace(bare, present=False)
        return replace(
            bare,
            size=sum_of(child.manifest.blobs),
            layers=len(child.manifest.layers),
            created=created,
            blobs=child.manifest.blobs,
        )

    async def _created(self, config: Descriptor) -> str:
        return created_in(await self._reader.config(self._repository, config))

    async def _attached(self, digest: Digest) -> tuple[Attached, ...]:
        tags = cosign_tags(digest)
        cosign = await together(self._cosign(digest, kind, tag) for kind, tag in tags)
        referrers = await self._store.referrers(self._reference.repository, digest)
        return (
            *(found for found in cosign if found is not None),
            *(Attached(kind=kind_of(e), digest=e.digest, subject=digest) for e in referrers),
        )

    async def _cosign(self, subject: Digest, kind: str, tag: str) -> Attached | None:
        head = await self._store.manifest_head(self._reference.repository, tag)
        if head is None:
            return None
        return Attached(kind=kind, digest=head.digest, subject=subject, tag=tag)


async def _bare(leaf: Descriptor) -> PlatformImage:
    return PlatformImage(platform=leaf.platform, digest=leaf.digest, media_type=leaf.media_type)


def _attested(image: PlatformImage, attestations: Sequence[Descriptor]) -> PlatformImage:
    about = (a for a in attestations if a.subject == str(image.digest))
    return replace(image, attestations=tuple(str(a.digest) for a in about))


def _this_machine() -> Selection:
    here = Platform(architecture=machine().lower()).normalized
    return Selection(architectures=frozenset({here.architecture}))


def _said(selection: Selection) -> str:
    parts = (selection.systems, selection.architectures, selection.variants)
    return "/".join("|".join(sorted(part)) for part in parts if part)
