"""One pace for all requests to a registry: a window of requests, and rests after a 429."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from image_tools.errors import RateLimited

WINDOW = 20
FIRST_REST = 2.0
LONGEST_OWN_REST = 60.0
LONGEST_WAIT = 900.0


@dataclass(frozen=True, slots=True)
class Turn:
    """The permission to send one request; `rests` is the number of rests before it."""

    rests: int


class Pace:
    """How many requests may be under way at `registry`, and when none may.

    `on_rest(seconds)` is called once per rest. `clock` gives seconds, `sleep` waits for some.
    During a rest of more than `LONGEST_WAIT` seconds requests fail at once.
    """

    def __init__(
        self,
        registry: str,
        *,
        window: int = WINDOW,
        on_rest: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.registry = registry
        self.cooling_until: float | None = None
        self.window = self._widest = max(1, window)
        self._on_rest, self._clock, self._sleep = on_rest, clock, sleep
        self._active = 0
        self._rests = 0
        self._rests_in_a_row = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Wait for the turn of one request; raise RateLimited if the rest is too long."""
        await self._enter()
        try:
            yield Turn(self._rests)
        finally:
            self._active -= 1
            self._wake()

    async def rested(self) -> Turn:
        """Wait for the turn of a request that takes no place in the window (a long upload)."""
        while self._remaining() > 0:
            self._refuse_long_rest()
            await self._sleep(self._remaining())
        return Turn(self._rests)

    def went_well(self, turn: Turn) -> None:
        """Widen the window by one after a request that was not refused."""
        if turn.rests != self._rests or self.window >= self._widest:
            return
        self.window += 1
        if self.window == self._widest:
            self._rests_in_a_row = 0
        self._wake()

    def limited(self, turn: Turn, retry_after: float | None) -> float:
        """Begin or prolong the rest after a 429, and return the seconds until it ends.

        Requests that were under way when the rest began may only prolong it.
        """
        now = self._clock()
        if turn.rests == self._rests:
            self._begin(now, retry_after)
        elif retry_after is not None:
            self.cooling_until = max(self.cooling_until or 0.0, now + retry_after)
        return self._remaining()

    def _begin(self, now: float, retry_after: float | None) -> None:
        own = min(LONGEST_OWN_REST, FIRST_REST * 2.0 ** min(self._rests_in_a_row, 10))
        seconds = own if retry_after is None else retry_after
        self._rests += 1
        self._rests_in_a_row += 1
        self.window = 1
        self.cooling_until = max(self.cooling_until or 0.0, now + seconds)
        if self._on_rest is not None:
            self._on_rest(seconds)

    async def _enter(self) -> None:
        while True:
            await self.rested()
            if self._active < self.window:
                self._active += 1
                return
            await self._queue()

    async def _queue(self) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place in self._waiting:
                self._waiting.remove(place)
            self._wake()
            raise

    def _wake(self) -> None:
        free = self.window - self._active
        while self._waiting and free > 0:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                free -= 1

    def _remaining(self) -> float:
        if self.cooling_until is None:
            return 0.0
        left = self.cooling_until - self._clock()
        if left <= 0:
            self.cooling_until = None
        return max(0.0, left)

    def _refuse_long_rest(self) -> None:
        left = self._remaining()
        if left > LONGEST_WAIT:
            raise RateLimited(
                f"{self.registry} asks for {left:.0f} s of rest, too long to wait for",
                status=429,
                retry_after=left,
                exhausted=True,
            )
