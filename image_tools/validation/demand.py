"""The demands of a validation, and the entries of the source that it chooses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import product

from image_tools.oci.descriptor import Descriptor
from image_tools.oci.platform import Platform


class Match(Enum):
    """Whether a platform matches the flags; UNDETERMINED if it does not state enough."""

    EXCLUDED = "excluded"
    MATCHING = "matching"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The flags that decide what a destination must have; None names nothing, which means all.

    Names are in their usual spelling: `amd64`, not `x86_64`. `names_platforms` is False if no flag
    named a platform, so that all of an archive is demanded. `is_known` is False if it is unknown
    which platforms were chosen when an archive was saved: then every stated one counts as excluded.
    """

    architectures: frozenset[str] | None = None
    systems: frozenset[str] | None = None
    variants: frozenset[str] | None = None
    attestations: bool = True
    overwrite: bool = False
    keep_single: bool = False
    require_platforms: bool = False
    missing_platform_fails: bool = False
    names_platforms: bool = True
    is_known: bool = True

    @property
    def names_nothing(self) -> bool:
        """Return whether the flags exclude no platform."""
        return not (self.architectures or self.systems or self.variants)

    def standing(self, platform: Platform) -> Match:
        """Return whether `platform` matches the flags."""
        stated = platform.normalized
        if not self.is_known and (stated.architecture or stated.os):
            return Match.EXCLUDED
        named = [(self.architectures, stated.architecture), (self.systems, stated.os)]
        # A variant that is not stated passes: most architectures have none.
        if any(
            _is_barred(names, word) for names, word in [*named, (self.variants, stated.variant)]
        ):
            return Match.EXCLUDED
        if any(names and not word for names, word in named):
            return Match.UNDETERMINED
        return Match.MATCHING

    def missing(self, platforms: Iterable[Platform]) -> tuple[str, ...]:
        """Return the platforms that the flags name and that are not among `platforms`, as text.

        A field that is not named demands nothing.
        """
        found = [platform.normalized for platform in platforms]
        demanded = product(sorted(self.systems or {""}), sorted(self.architectures or {""}))
        pairs = [
            "/".join(filter(None, pair))
            for pair in demanded
            if any(pair) and not any(_fits(pair, one) for one in found)
        ]
        variants = (self.variants or frozenset()) - {one.variant for one in found}
        return (*pairs, *(f"variant {one}" for one in sorted(variants)))


def _is_barred(names: frozenset[str] | None, word: str) -> bool:
    if not names or not word:
        return False
    return word not in names


def _fits(demanded: tuple[str, str], platform: Platform) -> bool:
    system, architecture = demanded
    return system in ("", platform.os) and architecture in ("", platform.architecture)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The `wanted` entries of a source, in order.

    `is_whole`: all entries are wanted. `is_filtered` is False for an image without any platform, to
    which the flags do not apply. `missing` are demanded platforms that the source does not have.
    """

    wanted: tuple[Descriptor, ...]
    is_whole: bool
    is_filtered: bool
    missing: tuple[str, ...] = ()

    def leaves_alone(self, entry: Descriptor, asked: Demand) -> bool:
        """Return whether the platform of an image of the destination was not chosen."""
        return self.is_filtered and asked.standing(entry.platform) is Match.EXCLUDED


def choose(leaves: tuple[Descriptor, ...], asked: Demand) -> Choice:
    """Return the entries that `asked` wants of an image with these `leaves`."""
    images = tuple(leaf for leaf in leaves if not leaf.is_attestation)
    is_filtered = any(image.platform.is_known for image in images)
    chosen = _chosen(images, asked) if is_filtered else images
    subjects = {str(image.digest) for image in chosen}
    # If no image is left out, attestations of images that are not listed are wanted as well.
    every = len(chosen) == len(images) and bool(images or asked.names_nothing)
    coming = frozenset(chosen)
    if asked.attestations:
        coming |= {a for a in leaves if a.is_attestation and (every or a.subject in subjects)}
    wanted = tuple(leaf for leaf in leaves if leaf in coming)
    return Choice(
        wanted=wanted,
        is_whole=len(wanted) == len(leaves),
        is_filtered=is_filtered,
        missing=_missing(chosen, asked) if is_filtered else (),
    )


def _chosen(images: tuple[Descriptor, ...], asked: Demand) -> tuple[Descriptor, ...]:
    """Return the matching images, and together with them the undetermined ones."""
    standings = [asked.standing(image.platform) for image in images]
    if Match.MATCHING not in standings:
        return ()
    return tuple(
        image
        for image, standing in zip(images, standings, strict=True)
        if standing is not Match.EXCLUDED
    )


def _missing(chosen: tuple[Descriptor, ...], asked: Demand) -> tuple[str, ...]:
    if not asked.require_platforms:
        return ()
    return asked.missing(image.platform for image in chosen)
