"""The one place where images wait: how many are in memory, are asked about, and are worked on."""

from __future__ import annotations

import asyncio
import sys
from bisect import insort_left
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from image_tools.plan.schedule import Lane, Work, order, turn

PROBES = 64
IMAGES_IN_MEMORY = 1000
GATHERING_SECONDS = 1.0
_UNRANKED = sys.maxsize


@dataclass(slots=True, eq=False)
class _Ticket:
    """A request for a place, and the work that it is for."""

    lane: Lane
    rank: int = 0
    work: Work | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class _Places:
    """`count` places, given out best first and fairly between lanes.

    `coming` gives the lanes that work may still come for. Each lane keeps its best ticket last.
    """

    def __init__(self, count: int, coming: Callable[[], Iterable[Lane]]) -> None:
        self.count = count
        self._coming = coming
        self.waiting: dict[Lane, list[_Ticket]] = {}
        self.running: list[Lane] = []

    def add(self, ticket: _Ticket) -> None:
        """Let `ticket` wait, behind those of its lane with the same rank."""
        insort_left(self.waiting.setdefault(ticket.lane, []), ticket, key=lambda one: -one.rank)

    def leave(self, ticket: _Ticket) -> None:
        """Give back the place of `ticket`, or stop waiting for one."""
        if ticket.ready.is_set():
            self.running.remove(ticket.lane)
        elif ticket in self.waiting.get(ticket.lane, ()):
            self.waiting[ticket.lane].remove(ticket)

    def start(self) -> bool:
        """Give one place to the best ticket; return whether there were both."""
        if len(self.running) >= self.count:
            return False
        lanes = [lane for lane, tickets in self.waiting.items() if tickets]
        lanes.sort(key=lambda lane: self.waiting[lane][-1].rank)
        position = turn(lanes, self.running, self.count, self._coming())
        if position is None:
            return False
        ticket = self.waiting[lanes[position]].pop()
        self.running.append(ticket.lane)
        ticket.ready.set()
        return True


@dataclass(slots=True, eq=False)
class _LaneLimits:
    """The limits of one lane, so that a silent registry cannot keep others waiting."""

    room: asyncio.Semaphore
    probes: asyncio.Semaphore


class Scheduler:
    """Decides when a line is taken up, asked about and worked on, and when a tool may run.

    `images` are worked on at once, and `tools` run at once; each pair of registries (a lane) has
    `in_memory` lines under way and `probes` of them being asked about. The first image starts when
    all lines are planned (`all_planned`), at most `gathering` seconds after it could: the order is
    only good when it knows what there is. Belongs to the event loop.
    """

    def __init__(
        self,
        images: int,
        tools: int,
        *,
        probes: int = PROBES,
        in_memory: int = IMAGES_IN_MEMORY,
        gathering: float = GATHERING_SECONDS,
    ) -> None:
        self._coming: Counter[Lane] = Counter()
        self._images = _Places(images, lambda: self._coming)
        self._tools = _Places(tools, lambda: self._coming)
        self._lanes: defaultdict[Lane, _LaneLimits] = defaultdict(
            lambda: _LaneLimits(asyncio.Semaphore(in_memory), asyncio.Semaphore(probes))
        )
        self._gathering = gathering
        self._open = False
        self._unsorted = False
        self._sorted_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def expect(self, lane: Lane) -> None:
        """Announce one more image of `lane`: a place is kept for it until it has `ended`."""
        self._coming[lane] += 1

    async def admit(self, lane: Lane) -> None:
        """Wait until one more line of `lane` may be held in memory; `ended` gives that back."""
        await self._lanes[lane].room.acquire()

    def ended(self, lane: Lane) -> None:
        """Take note that one of the expected and admitted images is done, or will not come."""
        self._lanes[lane].room.release()
        self._coming -= Counter((lane,))
        self._start()

    def probe(self, lane: Lane) -> asyncio.Semaphore:
        """Return what to hold while a line of `lane` asks its registries."""
        return self._lanes[lane].probes

    @asynccontextmanager
    async def image(self, work: Work) -> AsyncIterator[None]:
        """Hold the place of an image that is worked on; wait for it."""
        ticket = _Ticket(work.lane, _UNRANKED, work)
        self._images.waiting.setdefault(work.lane, []).insert(0, ticket)
        self._unsorted = True
        if not self._open and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._gathering, self.all_planned)
        async with self._held(self._images, ticket):
            yield

    @asynccontextmanager
    async def tool(self, rank: int, lane: Lane) -> AsyncIterator[None]:
        """Hold the place of a tool that runs; wait for it. The lowest rank goes first."""
        ticket = _Ticket(lane, rank)
        self._tools.add(ticket)
        async with self._held(self._tools, ticket):
            yield

    def all_planned(self) -> None:
        """Begin now: nothing more is expected."""
        self._open = True
        self._start()

    @asynccontextmanager
    async def _held(self, places: _Places, ticket: _Ticket) -> AsyncIterator[None]:
        self._start()
        try:
            await ticket.ready.wait()
            yield
        finally:
            places.leave(ticket)
            self._start()

    def _start(self) -> None:
        while self._tools.start():
            pass
        while self._open and len(self._images.running) < self._images.count:
            self._sort()
            if not self._images.start():
                return

    def _sort(self) -> None:
        """Rank the images that wait, at most once in `gathering` seconds, since it takes time."""
        now = asyncio.get_running_loop().time()
        if not self._unsorted or now - self._sorted_at < self._gathering:
            return
        tickets = [ticket for lane in self._images.waiting.values() for ticket in lane]
        ranked = [tickets[i] for i in order([one.work for one in tickets if one.work is not None])]
        self._images.waiting = {}
        for rank, ticket in enumerate(ranked):
            ticket.rank = rank
            self._images.waiting.setdefault(ticket.lane, []).append(ticket)
        for waiting in self._images.waiting.values():
            waiting.reverse()
        self._unsorted, self._sorted_at = False, now
