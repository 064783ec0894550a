"""The content that was read of both sides, and the entries of the destination by their role."""

from __future__ import annotations

from dataclasses import dataclass

from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform
from image_tools.validation.demand import Choice, Demand


@dataclass(frozen=True, slots=True, kw_only=True)
class AtSource:
    """An image at its source.

    `leaves` are its platform manifests and attestations in order, with nested indexes opened; an
    entry without a platform has the one of its config. A single manifest is its own leaf.
    """

    digest: Digest
    leaves: tuple[Descriptor, ...]
    is_index: bool

    @property
    def is_artifact(self) -> bool:
        """Return whether it is a manifest without a platform: a chart, a signature."""
        return not self.is_index and not any(leaf.platform.is_known for leaf in self.leaves)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtDestination:
    """The content of the destination's tag; the fields are as in `AtSource`."""

    digest: Digest
    media_type: str
    leaves: tuple[Descriptor, ...]
    is_index: bool


def key_of(entry: Descriptor) -> tuple[Digest, Platform, bool]:
    """Return what equal entries share: digest, platform, and whether it is an attestation."""
    return entry.digest, entry.platform.normalized, entry.is_attestation


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedEntries:
    """The entries of a destination, compared with a choice.

    `missing` are the wanted entries that it does not have. `left_over` are images of chosen
    platforms that the source does not have, and unwanted attestations of images that do not stay.
    `kept` are the images that may stay, with their attestations; with --overwrite they are
    `not_chosen`, and have to go.
    """

    missing: tuple[Descriptor, ...]
    left_over: tuple[Descriptor, ...]
    not_chosen: tuple[Descriptor, ...]
    kept: tuple[Descriptor, ...]


def compare_entries(
    leaves: tuple[Descriptor, ...], choice: Choice, asked: Demand
) -> ComparedEntries:
    """Return the `leaves` of a destination, compared with `choice`."""
    wanted, found = {key_of(w) for w in choice.wanted}, {key_of(leaf) for leaf in leaves}
    others = tuple(leaf for leaf in leaves if key_of(leaf) not in wanted)
    images = tuple(leaf for leaf in others if not leaf.is_attestation)
    alone = frozenset(image for image in images if choice.leaves_alone(image, asked))
    subjects = {str(image.digest) for image in alone}
    kept = tuple(o for o in others if o in alone or (o.is_attestation and o.subject in subjects))
    staying = frozenset(kept)
    return ComparedEntries(
        missing=tuple(w for w in choice.wanted if key_of(w) not in found),
        left_over=tuple(other for other in others if other not in staying),
        not_chosen=kept if asked.overwrite else (),
        kept=() if asked.overwrite else kept,
    )
