"""In which order the platform copies of a run start, and whose turn is next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from image_tools.oci.digest import Digest

Lane = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One platform copy as the schedule sees it.

    `image` is the number of its list entry; `blobs` maps each blob it needs to its size in bytes;
    `lane` are the source and destination registries it occupies.
    """

    image: int
    lane: Lane
    blobs: Mapping[Digest, int]


def order(works: Sequence[Work]) -> tuple[int, ...]:
    """The positions of `works` in the order they start.

    First the image that brings most bytes others need too, then the one that brings most bytes
    at all: the long ones end early and the sharing ones mount. Copies of one image stay together.
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
    """The position in `waiting` (best first) that starts next, None when all have to wait.

    The lane with the fewest running copies comes first. With several slots no registry takes the
    last one while another lane is known, so a slow registry never stops the others; `coming` are
    lanes known to have work that is not waiting yet.
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
    """Whether no registry of `lane` that another lane could do without is over its limit."""
    return all(
        busy[registry] < limit or all(registry in other for other in lanes)
        for registry in set(lane)
    )
