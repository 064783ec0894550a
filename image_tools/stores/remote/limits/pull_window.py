"""A registry's pull limit: how it is told, and how much of it is left. No clock, no network.

Docker Hub counts GETs of manifests, not HEADs, and reports the limit with every manifest:
`RateLimit-Limit: 100;w=21600`, `RateLimit-Remaining: 76;w=21600` (docs.docker.com, "Pull usage and
limits"), and in `docker-ratelimit-source` the address or account it counts for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_ITEM = re.compile(r"[ \t]*([0-9]{1,12})((?:[ \t]*;[^;,]*)*)[ \t]*(?:,.*)?", re.DOTALL)
_WINDOW = re.compile(r";[ \t]*w[ \t]*=[ \t]*([0-9]{1,9})[ \t]*(?:;|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullLimit:
    """The limit in one answer: of `limit` pulls in `window` seconds `remaining` are left.

    `limit` is None where only the rest was told; `source` is the address or account the registry
    counts for.
    """

    limit: int | None
    remaining: int
    window: int
    source: str = ""


def pull_limit(headers: Mapping[str, str]) -> PullLimit | None:
    """Return the pull limit an answer tells, None without one.

    A limit without a window (`;w=`) is another one, such as requests per minute. A case-sensitive
    mapping of `headers` must spell them as above.
    """
    remaining = _item(headers.get("RateLimit-Remaining", ""))
    limit = _item(headers.get("RateLimit-Limit", ""))
    if remaining is None:
        return None
    window = remaining[1] or (limit[1] if limit is not None else None)
    if not window:
        return None
    return PullLimit(
        limit=None if limit is None else limit[0],
        remaining=remaining[0],
        window=window,
        source=headers.get("Docker-RateLimit-Source", "").strip(),
    )


def _item(text: str) -> tuple[int, int | None] | None:
    """Return the first number of a list and its window in seconds."""
    found = _ITEM.fullmatch(text)
    if found is None:
        return None
    window = _WINDOW.search(found[2])
    return int(found[1]), None if window is None else int(window[1])


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that was sent: whether it is a pull, and how many pulls had ended by then."""

    is_pull: bool
    ended: int


@dataclass(slots=True)
class PullWindow:
    """How many pulls a registry has left for us: `left`, None while it told of no limit.

    Every request calls `begin` and `end`. Answers overtake each other, and others pull, too: an
    answer may or may not count the pulls that were under way at the same time. Times are in seconds
    of one clock.
    """

    told: PullLimit | None = None
    left: int | None = None
    spent: int = 0
    since: float | None = None
    _under_way: int = 0
    _ended: int = 0

    def begin(self, now: float, *, is_pull: bool) -> Sent:
        """Count a request that is sent."""
        if is_pull:
            self.spent += 1
            self._under_way += 1
            self.since = now if self.since is None else self.since
            if self.left is not None:
                self.left = max(0, self.left - 1)
        return Sent(is_pull, self._ended)

    def end(self, sent: Sent, told: PullLimit | None, now: float) -> None:
        """Take note of its answer; `told` is None without an answer or a limit in it."""
        self._under_way -= sent.is_pull
        overlapping = self._under_way + self._ended - sent.ended
        self._ended += sent.is_pull
        if told is None:
            return
        least = max(0, told.remaining - overlapping)
        known = least if self.left is None else self.left
        self.left = min(max(known, least), told.remaining)
        self.told = told
        if told.limit is not None and told.remaining >= told.limit:
            self.since = None
        elif self.since is None or self.since + told.window <= now:
            self.since = now

    def exhaust(self) -> None:
        """Remember that the registry refused a pull: nothing is left."""
        self.left = 0

    def renew(self) -> None:
        """Count as if the limit was reset, which is the most that waiting can bring."""
        self.left = None if self.told is None else self.told.limit
        self.since = None

    def moves_by(self, now: float) -> float | None:
        """Return when the limit resets at the latest; None without a known window.

        Pulls before ours are unknown: they were made at most one window before we saw them.
        """
        if self.told is None:
            return None
        since = now if self.since is None else self.since
        return max(now, since + self.told.window)
