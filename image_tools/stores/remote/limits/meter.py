"""Pulls at one registry, counted before they are made, so that none is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from loguru import logger

from image_tools.errors import Deferred, RateLimited
from image_tools.stores.remote.limits.pull_window import PullWindow, Sent, pull_limit

REFUSED = 429
_OWN_ADVICE = "run again, or raise --pull-budget"
_SHARE: ContextVar[Share | None] = ContextVar("share", default=None)


@dataclass(slots=True, eq=False)
class Share:
    """Pulls of one meter that are reserved for one image; `left` of them are not made yet."""

    meter: Meter
    left: int

    @contextmanager
    def used(self) -> Iterator[None]:
        """Make the pulls at this meter out of this share, inside the context."""
        token = _SHARE.set(self)
        try:
            yield
        finally:
            _SHARE.reset(token)

    def cover(self, needed: int) -> None:
        """Reserve exactly `needed` pulls; raise Deferred when there are not so many."""
        free = self.meter.free
        if free is not None and needed > self.left + free:
            raise self.meter.deferred(needed)
        self.meter.reserved += needed - self.left
        self.left = needed

    def split(self, size: int) -> Share:
        """Return `size` pulls of this share as another one, for a tool that pulls by itself."""
        self.left -= size
        return Share(self.meter, size)

    def spend(self) -> None:
        """Count all pulls left as made: a tool made them without our seeing."""
        now, count = self.meter.clock(), self.left
        self.close()
        for _ in range(count):
            self.meter.window.end(self.meter.window.begin(now, is_pull=True), None, now)

    def close(self) -> None:
        """Give back what was not used."""
        self.meter.reserved -= self.left
        self.left = 0


@dataclass(slots=True, eq=False)
class Meter:
    """The pulls of this run at `registry`, within its limit and the user's own `budget`.

    `reserved` pulls belong to shares. `clock` gives seconds since the epoch. Belongs to the event
    loop.
    """

    registry: str
    budget: int | None = None
    clock: Callable[[], float] = time.time
    reserved: int = 0
    window: PullWindow = field(default_factory=PullWindow)
    _rest_until: float = 0.0

    @property
    def available(self) -> int | None:
        """Return how many pulls can be made, reserved ones included; None without a limit."""
        known = [n for n in (self._budget_left, self.window.left) if n is not None]
        return min(known, default=None)

    @property
    def free(self) -> int | None:
        """Return how many pulls are not reserved; None without a limit."""
        available = self.available
        return None if available is None else max(0, available - self.reserved)

    @property
    def moves_in(self) -> float | None:
        """Return the seconds until the limit resets at the latest; None if unknown."""
        now = self.clock()
        moment = self.window.moves_by(now)
        if self._rest_until > now:
            moment = self._rest_until
        return None if moment is None else moment - now

    def can_ever(self, needed: int) -> bool:
        """Return whether waiting can make room for `needed` pulls."""
        own, told = self._budget_left, self.window.told
        if own is not None and needed > own:
            return False
        return told is not None and (told.limit is None or needed <= told.limit)

    def share(self, size: int) -> Share:
        """Reserve `size` pulls."""
        self.reserved += size
        return Share(self, size)

    def begin(self, reference: str, *, is_pull: bool) -> Sent:
        """Count a request that is about to be sent; raise Deferred when it is a pull too many."""
        if is_pull and not self._take():
            error = self.deferred(1)
            raise error.copied(f"{reference}: {error.message}")
        return self.window.begin(self.clock(), is_pull=is_pull)

    def end(self, sent: Sent, headers: Mapping[str, str] | None, status: int = 200) -> None:
        """Take note of the answer to `sent`; None for `headers` where there was none."""
        told = None if headers is None else pull_limit(headers)
        if told is not None and told != self.window.told:
            logger.debug("{}: {} pulls left, as it says", self.registry, told)
        self.window.end(sent, told, self.clock())
        if status == REFUSED and told is not None:
            self.window.exhaust()

    def rest(self, seconds: float) -> None:
        """Remember that the registry wants no requests for `seconds`."""
        self._rest_until = max(self._rest_until, self.clock() + seconds)

    def refusal(self, reference: str, error: RateLimited) -> Deferred:
        """Return the error for a 429 that reports the pull limit: no pull is left for now."""
        if error.retry_after:
            self.rest(error.retry_after)
        found = self.deferred(1)
        return found.copied(f"{reference}: {found.message} ({error})")

    def deferred(self, needed: int, *, at_most: bool = False) -> Deferred:
        """Return the error for what needs `needed` pulls, or `at_most` so many."""
        own, needs = self._budget_left, _needs(needed, at_most)
        if own is not None and own == self.available:
            return Deferred(
                f"{needs}; {own} of --pull-budget {self.budget} left at {self.registry}",
                registry=self.registry,
                needed=needed,
                advice=_OWN_ADVICE,
            )
        return Deferred(
            f"{needs}; {self.words}",
            registry=self.registry,
            needed=needed,
            retry_after=self.moves_in,
        )

    @property
    def words(self) -> str:
        """Return what is left and when the limit resets, as text."""
        told, left = self.window.told, self.window.left
        if told is None or left is None:
            return f"{self.registry} has told of no limit"
        of = "" if told.limit is None else f" of {told.limit}"
        when = moment(self.clock() + (self.moves_in or 0.0))
        return (
            f"{self.registry} has {left}{of} left,"
            f" its window of {_span(told.window)} moves by {when} at the latest"
        )

    @property
    def _budget_left(self) -> int | None:
        return None if self.budget is None else max(0, self.budget - self.window.spent)

    def _take(self) -> bool:
        """Return whether a pull can be made now, from the share in use or else from the rest."""
        share = _SHARE.get()
        if share is not None and share.meter is self and share.left:
            if self.available == 0:
                return False
            share.left -= 1
            self.reserved -= 1
            return True
        return self.free is None or self.free > 0


class Meters:
    """One meter for each registry that is read; `budget` applies to each of them."""

    def __init__(self, budget: int | None = None) -> None:
        self._budget = budget
        self._meters: dict[str, Meter] = {}

    def of(self, registry: str) -> Meter:
        """Return the meter of `registry`, a new one at the first call."""
        if registry not in self._meters:
            self._meters[registry] = Meter(registry, self._budget)
        return self._meters[registry]

    @property
    def limited(self) -> tuple[Meter, ...]:
        """Return the meters with a limit, by name."""
        meters = sorted(self._meters.values(), key=lambda meter: meter.registry)
        return tuple(meter for meter in meters if meter.available is not None)


def cover(needed: int) -> None:
    """Reserve exactly `needed` pulls for the image under way; raise Deferred without them.

    Does nothing where no share is in use.
    """
    share = _SHARE.get()
    if share is not None:
        share.cover(needed)


def cover_at_least(needed: int) -> None:
    """Reserve as `cover` does, without giving any back: more will be needed after these."""
    share = _SHARE.get()
    if share is not None and needed > share.left:
        share.cover(needed)


def split_share(size: int) -> Share | None:
    """Return `size` pulls of the share in use as another one, for a tool that pulls by itself."""
    share = _SHARE.get()
    return share.split(size) if share is not None and size else None


def is_limited() -> bool:
    """Return whether the pulls of the image under way are limited."""
    share = _SHARE.get()
    return share is not None and share.meter.available is not None


def moment(seconds: float) -> str:
    """Return `seconds` since the epoch as text, in local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _needs(needed: int, at_most: bool) -> str:
    return f"needs {'up to ' if at_most else ''}{needed} pull{'' if needed == 1 else 's'}"


def _span(seconds: int) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
