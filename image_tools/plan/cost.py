"""The cost of images at registries that count pulls: how many manifests each image reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from image_tools.oci import media
from image_tools.plan.selection import Selection

# Bytes of the shortest entry of an index: type, digest, size and a platform.
SMALLEST_ENTRY = 200
_UNKNOWN_ENTRIES = 32
_SCHEMA1 = 3


@dataclass(frozen=True, slots=True)
class PullNeed:
    """How many manifests of an image will be read: probably `cost`, at least `least`."""

    cost: int
    least: int


def foreseen(
    media_type: str, size: int | None, selection: Selection, *, tops_only: bool = False
) -> PullNeed:
    """Return the cost of an image, estimated from the HEAD of its manifest.

    An index costs one read, and one for each wanted child; its `size` in bytes limits how many it
    can have. With `tops_only` no child is read. A schema 1 image is read again to convert it.
    """
    if media_type in media.SCHEMA1:
        return PullNeed(1, 1) if tops_only else PullNeed(_SCHEMA1, 1)
    if tops_only or (media_type and media_type not in media.INDEXES):
        return PullNeed(1, 1)
    most = _UNKNOWN_ENTRIES if size is None else max(1, size // SMALLEST_ENTRY)
    platforms = min(most, _platforms(selection, most))
    attested = 2 * platforms if selection.attestations else platforms
    # Without a media type it may be an index or a single manifest.
    return PullNeed(1 + min(most, attested), 1 + platforms if media_type else 1)


def _platforms(selection: Selection, most: int) -> int:
    if selection.architectures is None or selection.systems is None:
        return most
    return len(selection.architectures) * len(selection.systems)


def unaffordable(costs: Sequence[int], left: int) -> frozenset[int]:
    """Return the positions of `costs` that `left` pulls do not cover, the cheapest first served."""
    found = set()
    for position in sorted(range(len(costs)), key=lambda at: (costs[at], at)):
        if costs[position] <= left:
            left -= costs[position]
        else:
            found.add(position)
    return frozenset(found)
