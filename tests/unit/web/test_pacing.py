"""One pace for all requests to a registry, under a clock that moves only by sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from image_tools.errors import RateLimited
from image_tools.web.pacing import Pace, Turn


class Clock:
    """Time that passes while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now = max(self.now, self.now + seconds)
        await asyncio.sleep(0)


def paced(scenario: Callable[[Pace, Clock], Awaitable[object]], window: int = 4) -> list[float]:
    """Run `scenario`; give the rests that were announced."""
    announced: list[float] = []
    clock = Clock()
    pace = Pace("r", window=window, on_rest=announced.append, clock=clock, sleep=clock.sleep)
    asyncio.run(asyncio.wait_for(_awaited(scenario(pace, clock)), 10))  # type: ignore[arg-type]
    return announced


async def _awaited(awaitable: Awaitable[object]) -> None:
    await awaitable


def test_window_bounds_what_is_under_way() -> None:
    most: list[int] = []

    async def scenario(pace: Pace, _: Clock) -> None:
        active = 0

        async def one() -> None:
            nonlocal active
            async with pace.turn():
                active += 1
                most.append(active)
                await asyncio.sleep(0)
                active -= 1

        await asyncio.gather(*(one() for _ in range(20)))

    assert paced(scenario, window=3) == []
    assert (max(most), len(most)) == (3, 20)


def test_cancelled_waiters_leave_their_place_to_others() -> None:
    passed: list[int] = []

    async def scenario(pace: Pace, _: Clock) -> None:
        async def one(number: int) -> None:
            async with pace.turn():
                passed.append(number)

        async with pace.turn():
            waiting = [asyncio.ensure_future(one(number)) for number in range(6)]
            await asyncio.sleep(0)
            for task in waiting[::2]:
                task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    paced(scenario, window=1)
    assert passed == [1, 3, 5]


def test_limited_rests_as_long_as_asked_then_widens_again() -> None:
    windows: list[int] = []

    async def scenario(pace: Pace, clock: Clock) -> None:
        async with pace.turn() as turn:
            assert pace.limited(turn, 30.0) == 30.0
        for _ in range(5):
            async with pace.turn() as turn:
                windows.append(pace.window)
                pace.went_well(turn)
        assert clock.now == 130.0

    assert paced(scenario) == [30.0]
    assert windows == [1, 2, 3, 4, 4]


def test_requests_under_way_at_the_rest_begin_no_other_but_may_prolong_it() -> None:
    async def scenario(pace: Pace, _: Clock) -> None:
        early = Turn(0)
        assert pace.limited(early, 5.0) == 5.0
        assert pace.limited(early, None) == 5.0
        assert pace.limited(early, 3.0) == 5.0
        assert pace.limited(early, 9.0) == 9.0
        pace.went_well(early)
        assert pace.window == 1

    assert paced(scenario) == [5.0]


def test_rests_without_a_wish_grow_until_all_is_well_again() -> None:
    async def scenario(pace: Pace, _: Clock) -> None:
        for _ in range(7):
            pace.limited(await pace.rested(), None)
        for _ in range(3):
            pace.went_well(await pace.rested())
        pace.limited(await pace.rested(), None)

    assert paced(scenario) == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 2.0]


def test_rest_too_long_to_wait_for_is_refused_until_it_is_over() -> None:
    async def scenario(pace: Pace, clock: Clock) -> None:
        pace.limited(Turn(0), 3600.0)
        with pytest.raises(RateLimited, match="r asks for 3600 s of rest") as caught:
            async with pace.turn():
                pass
        assert caught.value.exhausted
        clock.now += 3600
        async with pace.turn() as turn:
            assert turn == Turn(1)
        assert clock.slept == []

    assert paced(scenario) == [3600.0]
