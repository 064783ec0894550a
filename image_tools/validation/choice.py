"""Which entries of the source the flags ask for."""

from __future__ import annotations

from dataclasses import dataclass

from image_tools.oci.descriptor import Descriptor
from image_tools.validation.asked import Demand, Match


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The `wanted` entries of a source, in its order.

    `is_whole`: nothing of the source is left out. `is_filtered` is False for an image that states
    no platform anywhere: the flags say nothing about it. `lacking` are named platforms that the
    source has to have, and has not.
    """

    wanted: tuple[Descriptor, ...]
    is_whole: bool
    is_filtered: bool
    lacking: tuple[str, ...] = ()

    def leaves_alone(self, entry: Descriptor, asked: Demand) -> bool:
        """Return whether an image of the destination is of a platform that was not chosen."""
        return self.is_filtered and asked.standing(entry.platform) is Match.EXCLUDED


def choose(leaves: tuple[Descriptor, ...], asked: Demand) -> Choice:
    """Return what `asked` wants of an image with these `leaves`."""
    images = tuple(leaf for leaf in leaves if not leaf.is_attestation)
    is_filtered = any(image.platform.is_known for image in images)
    chosen = _chosen(images, asked) if is_filtered else images
    subjects = {str(image.digest) for image in chosen}
    # Where no image is left out nothing is filtered: attestations of absent images stay, too.
    every = len(chosen) == len(images) and bool(images or asked.names_nothing)
    coming = frozenset(chosen)
    if asked.attestations:
        coming |= {a for a in leaves if a.is_attestation and (every or a.subject in subjects)}
    wanted = tuple(leaf for leaf in leaves if leaf in coming)
    return Choice(
        wanted=wanted,
        is_whole=len(wanted) == len(leaves),
        is_filtered=is_filtered,
        lacking=_lacking(chosen, asked) if is_filtered else (),
    )


def _chosen(images: tuple[Descriptor, ...], asked: Demand) -> tuple[Descriptor, ...]:
    """Return the images that match, and with them those that do not say enough."""
    standings = [asked.standing(image.platform) for image in images]
    if Match.MATCHING not in standings:
        return ()
    return tuple(
        image
        for image, standing in zip(images, standings, strict=True)
        if standing is not Match.EXCLUDED
    )


def _lacking(chosen: tuple[Descriptor, ...], asked: Demand) -> tuple[str, ...]:
    if not asked.require_platforms:
        return ()
    return asked.missing(image.platform for image in chosen)
