"""What images cost where registries count the manifests that are read: how many GETs each needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from image_tools.oci import media
from image_tools.plan.selection import Selection

# The shortest entry a registry's index has: type, digest, size and a platform.
SMALLEST_ENTRY = 200
_UNKNOWN_ENTRIES = 32
_SCHEMA1 = 3


@dataclass(frozen=True, slots=True)
class PullNeed:
    """How many manifests of an image will be read: probably `cost`, or only `least`."""

    cost: int
    least: int


def foreseen(
    media_type: str, size: int | None, selection: Selection, *, tops_only: bool = False
) -> PullNeed:
    """What the head of a source manifest tells of the cost of its image.

    One for an index and one for each wanted child: how many those are its `size` in bytes bounds.
    With `tops_only` no child is read. A schema 1 image is read again when it is converted.
    """
    if media_type in media.SCHEMA1:
        return PullNeed(1, 1) if tops_only else PullNeed(_SCHEMA1, 1)
    if tops_only or (media_type and media_type not in media.INDEXES):
        return PullNeed(1, 1)
    most = _UNKNOWN_ENTRIES if size is None else max(1, size // SMALLEST_ENTRY)
    platforms = min(most, _platforms(selection, most))
    attested = 2 * platforms if selection.attestations else platforms
    # Without a type it may be an index or not.
    return PullNeed(1 + min(most, attested), 1 + platforms if media_type else 1)


def _platforms(selection: Selection, most: int) -> int:
    if selection.architectures is None or selection.systems is None:
        return most
    return len(selection.architectures) * len(selection.systems)


def unaffordable(costs: Sequence[int], left: int) -> frozenset[int]:
    """The positions of `costs` for which `left` pulls do not suffice, when cheap ones go first."""
    found = set()
    for position in sorted(range(len(costs)), key=lambda at: (costs[at], at)):
        if costs[position] <= left:
            left -= costs[position]
        else:
            found.add(position)
    return frozenset(found)
