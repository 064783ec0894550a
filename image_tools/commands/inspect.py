"""`inspect`: describe one image of a registry, or return its manifest or config unchanged."""

from __future__ import annotations

import platform
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from image_tools.commands.inspection import (
    Attached,
    Inspection,
    PlatformImage,
    created_in,
    sum_of,
)
from image_tools.commands.opening import Opening
from image_tools.errors import InvalidManifest, NotFound, PlatformMissing
from image_tools.machine.concurrency import together
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Manifest, RawManifest, Schema1, parse
from image_tools.oci.platform import Platform
from image_tools.oci.reference import Reference
from image_tools.plan.referrers import cosign_tags, kind_of
from image_tools.plan.selection import EVERYTHING, Fit, Selection
from image_tools.report import SCHEMA
from image_tools.run.reader import Reader, Repository
from image_tools.stores.store import Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectRequest:
    """The image and the platforms to inspect; without a selection all of them."""

    reference: Reference
    selection: Selection | None = None


def inspect(request: InspectRequest, opening: Opening) -> Inspection:
    """Return the description of an image.

    Raise NotFound when there is no such image, PlatformMissing when it has none of the platforms.
    """

    selection = request.selection or EVERYTHING
    return opening.run(
        _asked(request, opening, lambda one: one.image(selection, deep=True, attached=True))
    )


def inspect_raw(request: InspectRequest, opening: Opening) -> bytes:
    """Return the bytes of the manifest; with a selection, of the first platform it selects."""

    return opening.run(_asked(request, opening, lambda one: one.raw(request.selection)))


def inspect_config(request: InspectRequest, opening: Opening) -> bytes:
    """Return the bytes of a config: of the first selected platform, or of this machine's."""

    return opening.run(_asked(request, opening, lambda one: one.config(request.selection)))


def to_json(inspection: Inspection) -> dict[str, Any]:
    """Return the JSON document of `inspect`."""
    return {"schema": SCHEMA, "command": "inspect", **inspection.to_json()}


async def _asked(
    request: InspectRequest, opening: Opening, question: Callable[[Inspector], Awaitable[T]]
) -> T:
    store = opening.source(request.reference.registry)
    return await question(Inspector(store, request.reference, Reader()))


class Inspector:
    """Reads the image `reference` from `store`; used on the event loop."""

    def __init__(self, store: Store, reference: Reference, reader: Reader) -> None:
        self._store, self._reference, self._reader = store, reference, reader
        self._repository = Repository(store, reference.repository)

    async def image(
        self, selection: Selection = EVERYTHING, *, deep: bool, attached: bool
    ) -> Inspection:
        """Return the image with the selected platforms; raise PlatformMissing when there are none.

        With `deep` the manifest and the config of every platform are read, for sizes and dates.
        With `attached` signatures and other referrers are asked for, also those of each platform.
        """
        digest, top = await self._top()
        leaves = await self._leaves(digest, top)
        attestations = [leaf for leaf in leaves if leaf.is_attestation]
        images = await together(
            self._platform_image(leaf, top, deep=deep or leaf.digest == digest)
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
        """Return the bytes of the top manifest, or of the first selected platform's."""
        if selection is None:
            # No HEAD is needed: the answer is verified like any other.
            found = await self._store.manifest(self._reference.repository, self._reference.target)
            return found.content
        return (await self._chosen(selection, platform.machine)).content

    async def config(
        self, selection: Selection | None, machine: Callable[[], str] = platform.machine
    ) -> bytes:
        """Return the bytes of the config of one platform: of this machine's without a selection.

        `machine` returns the name of its architecture, as uname has it.
        """
        found = parse(await self._chosen(selection, machine))
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

    async def _chosen(self, selection: Selection | None, machine: Callable[[], str]) -> RawManifest:
        digest, top = await self._top()
        leaves = await self._leaves(digest, top)
        images = [leaf for leaf in leaves if not leaf.is_attestation]
        if selection is None:
            selection = EVERYTHING if len(images) == 1 else _of_machine(machine())
        first = self._wanted(leaves, selection)[0]
        return await self._reader.manifest(self._repository, first.digest)

    def _wanted(self, leaves: Sequence[Descriptor], selection: Selection) -> list[Descriptor]:
        images = [leaf for leaf in leaves if not leaf.is_attestation]
        found = [leaf for leaf in images if selection.fit(leaf.platform) is Fit.CHOSEN]
        if not found and selection != EVERYTHING:
            has = ", ".join(str(leaf.platform) for leaf in images) or "no platform at all"
            raise PlatformMissing(
                f"{self._reference}: no image for {_shown(selection)}", advice=f"it has {has}"
            )
        return found

    async def _platform_image(
        self, leaf: Descriptor, top: RawManifest, *, deep: bool
    ) -> PlatformImage:
        bare = PlatformImage(platform=leaf.platform, digest=leaf.digest, media_type=leaf.media_type)
        if not deep:
            return bare
        found = parse(top)
        if isinstance(found, Schema1):
            return replace(bare, layers=len(found.layers))
        try:
            child = await self._reader.child(self._repository, leaf)
            config = child.manifest.config if child.manifest.is_image else None
            created = ""
            if config is not None:
                created = created_in(await self._reader.config(self._repository, config))
        except NotFound:
            return replace(bare, present=False)
        return replace(
            bare,
            size=sum_of(child.manifest.blobs),
            layers=len(child.manifest.layers),
            created=created,
            blobs=child.manifest.blobs,
        )

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


def _attested(image: PlatformImage, attestations: Sequence[Descriptor]) -> PlatformImage:
    about = (a for a in attestations if a.subject == str(image.digest))
    return replace(image, attestations=tuple(str(a.digest) for a in about))


def _of_machine(name: str) -> Selection:
    here = Platform(architecture=name.lower()).normalized
    return Selection(architectures=frozenset({here.architecture}))


def _shown(selection: Selection) -> str:
    parts = (selection.systems, selection.architectures, selection.variants)
    return "/".join("|".join(sorted(part)) for part in parts if part)
