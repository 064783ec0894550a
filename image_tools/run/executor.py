"""Slots for the work of a run: so many at once, and no registry takes them all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from image_tools.plan.schedule import Lane, turn


@dataclass(slots=True, eq=False)
class _SlotTicket:
    rank: int
    lane: Lane
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Slots:
    """`count` slots, given out by rank (lowest first) and fairly between lanes.

    `coming` gives the lanes that work may still come for. Belongs to the event loop.
    """

    def __init__(self, count: int, coming: Callable[[], Iterable[Lane]] = tuple) -> None:
        self.count = count
        self._coming = coming
        self._waiting: list[_SlotTicket] = []
        self._running: list[_SlotTicket] = []

    @asynccontextmanager
    async def slot(self, rank: int, lane: Lane) -> AsyncIterator[None]:
        """Hold a slot; waits for it."""
        ticket = _SlotTicket(rank, lane)
        self._waiting.append(ticket)
        self._waiting.sort(key=lambda one: one.rank)
        self._start()
        try:
            await ticket.ready.wait()
            yield
        finally:
            for held in (self._waiting, self._running):
                if ticket in held:
                    held.remove(ticket)
            self._start()

    def _start(self) -> None:
        while (position := self._next()) is not None:
            ticket = self._waiting.pop(position)
            self._running.append(ticket)
            ticket.ready.set()

    def _next(self) -> int | None:
        lanes = [ticket.lane for ticket in self._waiting]
        running = [ticket.lane for ticket in self._running]
        return turn(lanes, running, self.count, self._coming())
