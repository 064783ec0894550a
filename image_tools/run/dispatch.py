"""Which image of the run is worked on next: planned ones, best first, fairly between registries."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from image_tools.plan.schedule import Lane, Work, order, turn

GATHERING_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _ImageTicket:
    work: Work
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Dispatch:
    """`count` images at once. Belongs to the event loop.

    The first start waits until everything is planned (`all_planned`), at most one second: the
    order is only good when it knows what there is. Later arrivals are sorted in.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._waiting: dict[Lane, list[_ImageTicket]] = {}
        self._running: list[Lane] = []
        self._coming: Counter[Lane] = Counter()
        self._open = False
        self._unsorted = False
        self._sorted_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def coming(self) -> tuple[Lane, ...]:
        """The lanes of all images that were expected and have not ended."""
        return tuple(self._coming)

    def expect(self, lane: Lane) -> None:
        """One more image of `lane` may come; a place is kept for it as long as it may."""
        self._coming[lane] += 1

    def ended(self, lane: Lane) -> None:
        """One of the expected images is done, or will not come."""
        self._coming -= Counter((lane,))
        self._start()

    @asynccontextmanager
    async def turn(self, work: Work) -> AsyncIterator[None]:
        """Hold one of the places; waits for it."""
        ticket = _ImageTicket(work)
        self._waiting.setdefault(work.lane, []).insert(0, ticket)
        self._unsorted = True
        if not self._open and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(GATHERING_SECONDS, self.all_planned)
        self._start()
        try:
            await ticket.ready.wait()
            yield
        finally:
            self._leave(ticket)

    def all_planned(self) -> None:
        """Nothing more is expected: begin now."""
        self._open = True
        self._start()

    def _leave(self, ticket: _ImageTicket) -> None:
        lane = ticket.work.lane
        if ticket.ready.is_set():
            self._running.remove(lane)
        elif ticket in self._waiting.get(lane, ()):
            self._waiting[lane].remove(ticket)
        self._start()

    def _start(self) -> None:
        while self._open and (lane := self._next()) is not None:
            ticket = self._waiting[lane].pop()
            self._running.append(lane)
            ticket.ready.set()

    def _next(self) -> Lane | None:
        if len(self._running) >= self._count:
            return None
        self._sort()
        lanes = [lane for lane, tickets in self._waiting.items() if tickets]
        position = turn(lanes, self._running, self._count, self._coming)
        return None if position is None else lanes[position]

    def _sort(self) -> None:
        """Best last in each lane, lanes by their best; at most once a second, for it costs time."""
        now = asyncio.get_running_loop().time()
        if not self._unsorted or now - self._sorted_at < GATHERING_SECONDS:
            return
        tickets = [ticket for lane in self._waiting.values() for ticket in lane]
        ranked = [tickets[i] for i in order([ticket.work for ticket in tickets])]
        self._waiting = {}
        for ticket in ranked:
            self._waiting.setdefault(ticket.work.lane, []).append(ticket)
        for waiting in self._waiting.values():
            waiting.reverse()
        self._unsorted, self._sorted_at = False, now
