"""One image composed of the platforms of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from image_tools.errors import PlatformMissing, UsageError
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.plan.inputs import SourceImage
from image_tools.plan.merge import identity, merge


@dataclass(frozen=True, slots=True)
class CombinedSource:
    """A source and its name in messages."""

    name: str
    image: SourceImage


@dataclass(frozen=True, slots=True)
class CombinedImage:
    """The composed image; `origins` maps each entry to the position of its source, from 0."""

    image: SourceImage
    origins: Mapping[Digest, int] = field(default_factory=dict)


def combine(parts: Sequence[CombinedSource], *, overwrite: bool = False) -> CombinedImage:
    """Return the image with the entries of all `parts`, in order, attestations after their images.

    Raise UsageError if two parts have different images of one platform, unless `overwrite`: then
    the later one replaces the earlier. Raise PlatformMissing for a part without a platform. If one
    index already has all the entries, its bytes are kept.
    """
    leaves: tuple[Descriptor, ...] = ()
    origins: dict[Digest, int] = {}
    for number, part in enumerate(parts):
        found = _platforms(part)
        if not overwrite:
            _refuse_conflict(parts, origins, leaves, part, found)
        leaves = _added(leaves, found)
        for leaf in found:
            origins.setdefault(leaf.digest, number)
    exact = (part.image for part in parts if part.image.leaves == leaves and not part.image.single)
    composed = SourceImage(top=parts[0].image.top, leaves=leaves, single=True)
    return CombinedImage(next(exact, composed), origins)


def _platforms(part: CombinedSource) -> tuple[Descriptor, ...]:
    """Return the entries of a source, without attestations of images that it does not list."""
    images = {str(leaf.digest) for leaf in part.image.leaves if not leaf.is_attestation}
    found = tuple(
        leaf for leaf in part.image.leaves if not leaf.is_attestation or leaf.subject in images
    )
    if part.image.artifact or not found:
        raise PlatformMissing(
            f"{part.name}: it states no platform",
            advice="only images can be merged: leave out charts, signatures and other artifacts",
        )
    return found


def _refuse_conflict(
    parts: Sequence[CombinedSource],
    origins: Mapping[Digest, int],
    leaves: tuple[Descriptor, ...],
    part: CombinedSource,
    found: tuple[Descriptor, ...],
) -> None:
    known = {(leaf.digest, identity(leaf)) for leaf in leaves}
    earlier = {identity(leaf): leaf for leaf in leaves if not leaf.is_attestation}
    for leaf in found:
        other = earlier.get(identity(leaf))
        if leaf.is_attestation or other is None or (leaf.digest, identity(leaf)) in known:
            continue
        raise UsageError(
            f"{leaf.platform} is {other.digest} in {parts[origins[other.digest]].name}"
            f" and {leaf.digest} in {part.name}",
            advice="leave one of them out, or let the later one take its place with --overwrite",
        )


def _added(leaves: tuple[Descriptor, ...], found: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
    """Return `leaves` with the new entries of `found`, which replace the same platforms."""
    known = {(leaf.digest, identity(leaf)) for leaf in leaves}
    fresh = tuple(leaf for leaf in found if (leaf.digest, identity(leaf)) not in known)
    return merge(fresh, leaves) if fresh else leaves
