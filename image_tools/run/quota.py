"""Share out the pulls that a registry counts: cheap images first, and only for whole images."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, field, replace

from loguru import logger

from image_tools.errors import CopyFailed, Deferred, RateLimited
from image_tools.plan.cost import PullNeed
from image_tools.run.progress import Progress
from image_tools.stores.remote.limits.meter import Meter, Meters, Share, moment
from image_tools.web.pacing import LONGEST_WAIT

GATHERING_SECONDS = 10.0
LONGEST_PAUSE = 60.0
SHORTEST_PAUSE = 1.0
MOST_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The reads that one image needs of `registry`, which has it; `listed` is that of its line.

    `ask` puts a question to the registry that costs nothing and tells what is left. `size` is that
    of its manifest in bytes.
    """

    registry: str
    listed: str
    number: int
    need: PullNeed
    ask: Callable[[], Awaitable[object]]
    size: int = 0

    @property
    def rank(self) -> tuple[int, int, int]:
        """Return the order: cheap images first, then the shorter index, then the earlier line."""
        return self.need.cost, self.size, self.number

    def after(self, error: Deferred) -> Wanted:
        """Return what the image still wants, now that `error` told how much that is, and where."""
        need = PullNeed(error.needed, error.needed)
        return replace(self, registry=error.registry or self.registry, need=need)


@dataclass(slots=True, eq=False)
class _QuotaTicket:
    wanted: Wanted
    granted: asyncio.Future[Share]


@dataclass(slots=True, eq=False)
class _Queue:
    """The images that wait at one registry; `active` shares are out.

    `gathered`: later images are not waited for any more.
    """

    meter: Meter
    waiting: list[_QuotaTicket] = field(default_factory=list)
    active: int = 0
    gathered: bool = False
    timer: asyncio.TimerHandle | None = None
    watch: asyncio.Task[None] | None = None


class Quota:
    """Gives every image its share of the pulls before it is begun. Belongs to the event loop.

    Without a limit each image gets one at once. An image that does not fit is Deferred; if the run
    `waits`, the image waits until the registry's window moves.
    """

    def __init__(self, meters: Meters, progress: Progress, *, waits: bool = False) -> None:
        self.meters = meters
        self.waits = waits
        self._progress = progress
        self._queues: dict[str, _Queue] = {}
        self._probing: Counter[str] = Counter()

    @contextmanager
    def probing(self, listed: str) -> Iterator[None]:
        """Inside, an image of `listed` is probed, which may turn out to cost something."""
        self._probing[listed] += 1
        try:
            yield
        finally:
            self._probing[listed] -= 1
            # Not after each one: thousands may wait.
            if not self._probing[listed]:
                for queue in self._queues.values():
                    self._serve(queue)

    @asynccontextmanager
    async def share(self, wanted: Wanted) -> AsyncIterator[None]:
        """Inside, the pulls of an image come out of its own share; waits for it, or Deferred."""
        if not wanted.registry:
            yield
            return
        queue = self._queue(wanted.registry)
        share = await self._granted(queue, wanted)
        try:
            with share.used():
                yield
        finally:
            share.close()
            queue.active -= 1
            self._serve(queue)

    async def put_off(self, error: Deferred | RateLimited) -> None:
        """Wait until what `error` speaks of has passed; raises it as Deferred where that is not."""
        if isinstance(error, RateLimited) and (error.retry_after or 0.0) <= LONGEST_WAIT:
            raise error
        found = error if isinstance(error, Deferred) else _deferred(error)
        if not self.waits or found.retry_after is None:
            raise found
        logger.warning("{}; waiting", found)
        await asyncio.sleep(min(LONGEST_PAUSE, max(SHORTEST_PAUSE, found.retry_after)))

    def _queue(self, registry: str) -> _Queue:
        if registry not in self._queues:
            self._queues[registry] = _Queue(self.meters.of(registry))
        return self._queues[registry]

    async def _granted(self, queue: _Queue, wanted: Wanted) -> Share:
        ticket = _QuotaTicket(wanted, asyncio.get_running_loop().create_future())
        queue.waiting.append(ticket)
        self._serve(queue)
        try:
            return await ticket.granted
        except asyncio.CancelledError:
            _withdraw(queue, ticket)
            self._serve(queue)
            raise

    def _serve(self, queue: _Queue) -> None:
        """Grant every request that fits, and refuse those that never will."""
        queue.waiting.sort(key=lambda ticket: ticket.wanted.rank)
        if queue.waiting and not self._is_gathering(queue):
            self._grant(queue)
        if queue.waiting and not queue.active and not self._is_gathering(queue):
            self._decide(queue)
        if not queue.waiting:
            _rest(queue)

    def _is_gathering(self, queue: _Queue) -> bool:
        """Return whether cheaper images may still come, unless all that may come fit anyway."""
        coming = sum(self._probing[name] for name in {t.wanted.listed for t in queue.waiting})
        if queue.gathered or not coming:
            return False
        costs = [ticket.wanted.need.cost for ticket in queue.waiting]
        free = queue.meter.free
        if free is None or free >= sum(costs) + coming * max(costs):
            return False
        if queue.timer is None:
            loop = asyncio.get_running_loop()
            queue.timer = loop.call_later(GATHERING_SECONDS, self._gathered, queue)
        return True

    def _gathered(self, queue: _Queue) -> None:
        queue.gathered = True
        self._serve(queue)

    def _grant(self, queue: _Queue) -> None:
        while queue.waiting:
            cost = queue.waiting[0].wanted.need.cost
            if not _fits(queue, cost):
                return
            _give(queue, queue.waiting[0], cost)

    def _decide(self, queue: _Queue) -> None:
        """Grant or refuse requests when no share is out and the cheapest does not seem to fit."""
        free = queue.meter.free or 0
        modest = min(queue.waiting, key=lambda t: (t.wanted.need.least, t.wanted.rank))
        if modest.wanted.need.least <= free:
            # Its index may tell of a lower cost than its size did.
            _give(queue, modest, free)
            return
        for ticket in [*queue.waiting]:
            need = ticket.wanted.need
            if not (self.waits and queue.meter.can_ever(need.least)):
                error = queue.meter.deferred(need.cost, at_most=need.least < need.cost)
                _refuse(queue, ticket, error)
        if queue.waiting and queue.watch is None:
            # In a context of its own: it is the business of no single image.
            queue.watch = Context().run(asyncio.ensure_future, self._watch(queue))

    async def _watch(self, queue: _Queue) -> None:
        """Look at the registry from time to time until its window has moved."""
        key, meter = f"quota {queue.meter.registry}", queue.meter
        try:
            until = meter.clock() + (meter.moves_in or 0.0)
            count = f"{len(queue.waiting)} image{'' if len(queue.waiting) == 1 else 's'}"
            logger.warning("{}; {} waiting for it (Ctrl-C ends the run)", meter.words, count)
            self._progress.begin(key, _waiting(meter, until))
            while queue.waiting and not queue.active:
                await asyncio.sleep(_pause(meter, until))
                before = meter.window.told
                with suppress(CopyFailed):
                    await queue.waiting[0].wanted.ask()
                if meter.clock() >= until:
                    if meter.window.told is before:
                        meter.window.renew()
                    until = meter.clock() + (meter.moves_in or 0.0)
                    self._progress.change(key, _waiting(meter, until))
                self._grant(queue)
                if queue.waiting and not queue.active:
                    self._decide(queue)
        except Exception as error:
            for ticket in [*queue.waiting]:
                _refuse(queue, ticket, error)
        finally:
            queue.watch = None
            self._progress.end(key)


def _fits(queue: _Queue, cost: int) -> bool:
    """Return whether the next image may begin.

    If not all fit, only a few begin at once: each may cost more than it seems, and what was read of
    it by then is lost.
    """
    free = queue.meter.free
    if free is None or free >= sum(ticket.wanted.need.cost for ticket in queue.waiting):
        return True
    return cost <= free and queue.active < max(1, min(MOST_AT_ONCE, free // (8 * cost)))


def _give(queue: _Queue, ticket: _QuotaTicket, size: int) -> None:
    queue.waiting.remove(ticket)
    if not ticket.granted.done():
        ticket.granted.set_result(queue.meter.share(size))
        queue.active += 1


def _refuse(queue: _Queue, ticket: _QuotaTicket, error: Exception) -> None:
    queue.waiting.remove(ticket)
    if not ticket.granted.done():
        ticket.granted.set_exception(error)


def _withdraw(queue: _Queue, ticket: _QuotaTicket) -> None:
    """Take back whatever a cancelled ticket has, or waits for."""
    if ticket in queue.waiting:
        queue.waiting.remove(ticket)
    elif not ticket.granted.cancelled() and ticket.granted.exception() is None:
        ticket.granted.result().close()
        queue.active -= 1


def _rest(queue: _Queue) -> None:
    """Start gathering afresh: no image waits any more."""
    queue.gathered = False
    if queue.timer is not None:
        queue.timer.cancel()
        queue.timer = None
    if queue.watch is not None and not queue.active:
        queue.watch.cancel()


def _waiting(meter: Meter, until: float) -> str:
    return f"waiting for pulls at {meter.registry} by {moment(until)}"


def _pause(meter: Meter, until: float) -> float:
    told = meter.window.told
    pause = min(LONGEST_PAUSE, (told.window if told is not None else 0) / 60)
    left = max(SHORTEST_PAUSE / 2, until - meter.clock())
    return min(max(SHORTEST_PAUSE, pause), left)


def _deferred(error: RateLimited) -> Deferred:
    """Return the failure of an image whose registry refuses even a HEAD for hours to come."""
    return Deferred(str(error), registry="", retry_after=error.retry_after)
