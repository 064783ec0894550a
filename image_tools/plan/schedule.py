"""The order in which the copies of a run start, and which one is next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from image_tools.oci.digest import Digest

Lane = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A copy to schedule.

    `image` is the number of its list entry, `blobs` maps its blobs to their sizes in bytes, and
    `lane` is its source and destination registry.
    """

    image: int
    lane: Lane
    blobs: Mapping[Digest, int]


def order(works: Sequence[Work]) -> tuple[int, ...]:
    """Return the positions of `works` in the order in which they start.

    The image with the most bytes that others need comes first, then the one with the most bytes: so
    others can mount, and long copies do not end last. Copies of one image stay together.
    """
    users = Counter(digest for work in works for digest in work.blobs)
    shared: Counter[int] = Counter()
    total: Counter[int] = Counter()
    for work in works:
        total[work.image] += sum(work.blobs.values())
        shared[work.image] += sum(size for d, size in work.blobs.items() if users[d] > 1)
    ranks = [(-shared[w.image], -total[w.image], w.image, i) for i, w in enumerate(works)]
    return tuple(rank[-1] for rank in sorted(ranks))


def turn(
    waiting: Sequence[Lane], running: Sequence[Lane], slots: int, coming: Iterable[Lane] = ()
) -> int | None:
    """Return the position in `waiting` (best first) to start next, or None if all must wait.

    The lane with the fewest running copies is next. With several slots, no registry takes the last
    one while another lane has work, so that a slow registry never stops the others. `coming` are
    lanes whose work is not waiting yet.
    """
    if len(running) >= slots:
        return None
    busy = Counter(registry for lane in running for registry in set(lane))
    lanes = {*waiting, *running, *coming}
    limit = slots - 1 if slots > 1 and len(lanes) > 1 else slots
    allowed = [i for i, lane in enumerate(waiting) if _fits(lane, lanes, busy, limit)]
    if not allowed:
        return None
    here = Counter(running)
    return min(allowed, key=lambda i: (here[waiting[i]], i))


def _fits(lane: Lane, lanes: set[Lane], busy: Counter[str], limit: int) -> bool:
    """Return whether each registry of `lane` is below the limit, or part of every other lane."""
    return all(
        busy[registry] < limit or all(registry in other for other in lanes)
        for registry in set(lane)
    )
