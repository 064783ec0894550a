"""The platforms that a run chooses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import product

from image_tools.oci.platform import Platform


class Fit(Enum):
    """Whether the platform of an entry is chosen; UNSTATED if it does not state enough."""

    CHOSEN = "chosen"
    UNSTATED = "unstated"
    EXCLUDED = "excluded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The chosen platforms, from the command line; None in a field means all."""

    architectures: frozenset[str] | None = frozenset({"amd64", "arm64"})
    systems: frozenset[str] | None = frozenset({"linux"})
    variants: frozenset[str] | None = None
    attestations: bool = True

    def fit(self, platform: Platform) -> Fit:
        """Return whether `platform` is chosen.

        A platform without a variant fits any variant: most images for arm64 state none.
        """
        stated = platform.normalized
        named = ((self.architectures, stated.architecture), (self.systems, stated.os))
        if any(words is not None and word and word not in words for words, word in named):
            return Fit.EXCLUDED
        if self.variants and stated.variant and not self._has_variant(platform):
            return Fit.EXCLUDED
        stated_all = all(words is None or word for words, word in named)
        return Fit.CHOSEN if stated_all else Fit.UNSTATED

    def missing(self, platforms: Iterable[Platform]) -> tuple[str, ...]:
        """Return the chosen platforms that are not among `platforms`, as `os/architecture`.

        A field that means all is left out. A variant is missing if no chosen platform has it.
        """
        chosen = [p for p in platforms if self.fit(p) is Fit.CHOSEN]
        return (*self._missing_pairs(chosen), *self._missing_variants(chosen))

    @property
    def is_everything(self) -> bool:
        """Return whether no platform is excluded."""
        return self.architectures is None and self.systems is None and not self.variants

    @property
    def key(self) -> str:
        """Return a stable text of this selection, for the state file."""
        parts = (self.architectures, self.systems, self.variants)
        texts = ["*" if part is None else ",".join(sorted(part)) for part in parts]
        return "/".join(texts) + ("+attestations" if self.attestations else "")

    def _has_variant(self, platform: Platform) -> bool:
        words = self.variants or frozenset()
        return platform.variant in words or platform.normalized.variant in words

    def _missing_pairs(self, chosen: list[Platform]) -> Iterator[str]:
        if self.architectures is None and self.systems is None:
            return
        found = {(p.normalized.os, p.normalized.architecture) for p in chosen}
        found |= {("*", architecture) for _, architecture in found} | {(os, "*") for os, _ in found}
        for pair in product(_named(self.systems), _named(self.architectures)):
            if pair not in found:
                yield "/".join(part for part in pair if part != "*")

    def _missing_variants(self, chosen: list[Platform]) -> Iterator[str]:
        for variant in sorted(self.variants or ()):
            if not any(variant in (p.variant, p.normalized.variant) for p in chosen):
                yield f"variant {variant}"


EVERYTHING = Selection(architectures=None, systems=None)
NOTHING = Selection(architectures=frozenset(), systems=frozenset())


def _named(words: frozenset[str] | None) -> list[str]:
    return ["*"] if words is None else sorted(words)
