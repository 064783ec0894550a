"""Which entries of an index a run wants."""

from __future__ import annotations

from dataclasses import dataclass

from image_tools.oci.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The wanted platforms; None in a field means all. Built once from the command line."""

    architectures: frozenset[str] | None = frozenset({"amd64", "arm64"})
    systems: frozenset[str] | None = frozenset({"linux"})
    variants: frozenset[str] | None = None
    attestations: bool = True

    def matches(self, platform: Platform) -> bool:
        """Whether an entry of `platform` is wanted; a field the entry does not state passes."""
        stated = platform.normalized
        return (
            _passes(self.architectures, stated.architecture)
            and _passes(self.systems, stated.os)
            and (
                not self.variants
                or platform.variant in self.variants
                or stated.variant in self.variants
                or not stated.variant
            )
        )

    @property
    def key(self) -> str:
        """A stable text of this selection, for the state file."""
        parts = (self.architectures, self.systems, self.variants)
        texts = ["*" if part is None else ",".join(sorted(part)) for part in parts]
        return "/".join(texts) + ("+attestations" if self.attestations else "")


def _passes(wanted: frozenset[str] | None, stated: str) -> bool:
    return wanted is None or not stated or stated in wanted
