"""One image out of several: the platforms of all, each from one of them."""

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
    """A source and what people call it."""

    name: str
    image: SourceImage


@dataclass(frozen=True, slots=True)
class CombinedImage:
    """The united image; `origins` gives for each entry the number, from 0, of its source."""

    image: SourceImage
    origins: Mapping[Digest, int] = field(default_factory=dict)


def combine(parts: Sequence[CombinedSource], *, overwrite: bool = False) -> CombinedImage:
    """All entries of `parts`, in their order; attestations follow their images.

    UsageError when two of them have different images of one platform; with `overwrite` the later
    one takes the place of the earlier. PlatformMissing for a source without any platform.
    An index that holds all the others say stays as it is, byte for byte.
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
    """The entries of a source that an index can hold: orphaned attestations are left out."""
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
    """`leaves` and what is new in `found`, which takes the place of the same platforms."""
    known = {(leaf.digest, identity(leaf)) for leaf in leaves}
    fresh = tuple(leaf for leaf in found if (leaf.digest, identity(leaf)) not in known)
    return merge(fresh, leaves) if fresh else leaves
