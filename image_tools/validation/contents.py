"""The entries of a destination, told apart: wanted, allowed to stay, too much."""

from __future__ import annotations

from dataclasses import dataclass

from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform
from image_tools.validation.demand import Choice, Demand

Key = tuple[Digest, Platform, bool]


def key_of(entry: Descriptor) -> Key:
    """Return what two entries have to agree in: digest, platform, whether it is an attestation."""
    return entry.digest, entry.platform.normalized, entry.is_attestation


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """What the destination has, compared with a choice.

    `missing` are wanted entries it has not. `left_over` are images of chosen platforms that the
    source has not, and attestations that are not wanted and speak about nothing that may stay;
    `not_chosen` is what only --overwrite drops. `kept` are the images that may stay, with their
    attestations.
    """

    missing: tuple[Descriptor, ...]
    left_over: tuple[Descriptor, ...]
    not_chosen: tuple[Descriptor, ...]
    kept: tuple[Descriptor, ...]


def tell_apart(leaves: tuple[Descriptor, ...], choice: Choice, asked: Demand) -> Sorted:
    """Return what the `leaves` of a destination are to someone who asked for `choice`."""
    wanted, found = {key_of(w) for w in choice.wanted}, {key_of(leaf) for leaf in leaves}
    others = tuple(leaf for leaf in leaves if key_of(leaf) not in wanted)
    images = tuple(leaf for leaf in others if not leaf.is_attestation)
    alone = frozenset(image for image in images if choice.leaves_alone(image, asked))
    subjects = {str(image.digest) for image in alone}
    kept = tuple(o for o in others if o in alone or (o.is_attestation and o.subject in subjects))
    staying = frozenset(kept)
    return Sorted(
        missing=tuple(w for w in choice.wanted if key_of(w) not in found),
        left_over=tuple(other for other in others if other not in staying),
        not_chosen=kept if asked.overwrite else (),
        kept=() if asked.overwrite else kept,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AtSource:
    """An image at its source.

    `leaves` are its platform manifests and attestations in order, nested indexes opened, each
    platform completed from the config where its entry does not state one. `is_index` is False
    where the tag leads to a single manifest, which is its own leaf then.
    """

    digest: Digest
    leaves: tuple[Descriptor, ...]
    is_index: bool

    @property
    def is_artifact(self) -> bool:
        """Return whether it is a single manifest without a platform: a chart, a signature."""
        return not self.is_index and not any(leaf.platform.is_known for leaf in self.leaves)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtDestination:
    """What is under the destination's tag; the fields are as in `AtSource`."""

    digest: Digest
    media_type: str
    leaves: tuple[Descriptor, ...]
    is_index: bool
