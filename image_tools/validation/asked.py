"""What the flags of a validation ask for, and where a platform stands towards that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import product

from image_tools.oci.platform import Platform


class Match(Enum):
    """How a platform stands towards the flags; UNDETERMINED where it does not say enough."""

    EXCLUDED = "excluded"
    MATCHING = "matching"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The flags that decide what a destination has to hold; None names nothing, which means all.

    The names are those of the command line in their usual spelling: `amd64`, not `x86_64`.
    Without `names_platforms` all of an archive is asked for, since nobody named a platform.
    `is_known` is False where nobody knows what was chosen when an archive was saved: then every
    platform that is stated counts as one that was not.
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
        """Return whether the flags leave no platform out."""
        return not (self.architectures or self.systems or self.variants)

    def standing(self, platform: Platform) -> Match:
        """Return whether an entry of `platform` is excluded, matching, or cannot be told."""
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
        """Return what the flags name, as text, and none of `platforms` is.

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
