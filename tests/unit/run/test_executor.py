"""Slots: so many at once, the best first, and no registry has them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from image_tools.run.executor import Slots

A, B = ("one.example", "dst"), ("two.example", "dst")


class Crowd:
    """Works that hold their slot until they are told to end."""

    def __init__(self, count: int) -> None:
        self.slots = Slots(count)
        self.begun: list[str] = []
        self.works: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def come(self, name: str, rank: int, lane: tuple[str, str] = A) -> None:
        self._ends[name] = asyncio.Event()

        async def work() -> None:
            async with self.slots.slot(rank, lane):
                self.begun.append(name)
                await self._ends[name].wait()

        self.works[name] = asyncio.ensure_future(work())
        await settle()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await settle()

    async def cancel(self, name: str) -> None:
        self.works[name].cancel()
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def crowd(count: int, story: Callable[[Crowd], Coroutine[Any, Any, None]]) -> Crowd:
    async def told() -> Crowd:
        found = Crowd(count)
        await story(found)
        for work in found.works.values():
            work.cancel()
        await asyncio.gather(*found.works.values(), return_exceptions=True)
        assert (found.slots._waiting, found.slots._running) == ([], [])
        return found

    return asyncio.run(told())


@pytest.mark.parametrize("count", [1, 2, 5])
def test_slots_are_so_many_and_no_more(count: int) -> None:
    async def story(found: Crowd) -> None:
        for number in range(7):
            await found.come(str(number), number)
        assert found.begun == [str(number) for number in range(count)]

    assert crowd(count, story).slots.count == count


def test_freed_slot_goes_to_the_lowest_rank_and_among_equals_to_the_first() -> None:
    async def story(found: Crowd) -> None:
        await found.come("running", 9)
        for name, rank in (("late", 3), ("first", 1), ("second", 1)):
            await found.come(name, rank)
        for name in ("running", "first", "second"):
            await found.end(name)

    assert crowd(1, story).begun == ["running", "first", "second", "late"]


def test_last_slot_is_not_given_to_a_registry_that_has_all_the_others() -> None:
    async def story(found: Crowd) -> None:
        await found.come("a1", 1)
        await found.come("b1", 9, B)
        await found.come("a2", 2)
        assert found.begun == ["a1", "b1"]
        await found.come("b2", 8, B)
        await found.end("b1")
        assert found.begun == ["a1", "b1", "b2"]
        await found.end("a1")

    assert crowd(2, story).begun == ["a1", "b1", "b2", "a2"]


def test_one_lane_alone_takes_every_slot() -> None:
    async def story(found: Crowd) -> None:
        for number in range(3):
            await found.come(str(number), number)

    assert crowd(3, story).begun == ["0", "1", "2"]


def test_cancelled_while_waiting_takes_no_slot_from_the_next() -> None:
    async def story(found: Crowd) -> None:
        for number, name in enumerate(("running", "cancelled", "next")):
            await found.come(name, number)
        await found.cancel("cancelled")
        await found.end("running")

    assert crowd(1, story).begun == ["running", "next"]


def test_cancelled_or_failed_while_running_gives_its_slot_back() -> None:
    async def story(found: Crowd) -> None:
        with pytest.raises(KeyError):
            async with found.slots.slot(0, A):
                raise KeyError
        for number, name in enumerate(("running", "next")):
            await found.come(name, number)
        await found.cancel("running")

    assert crowd(1, story).begun == ["running", "next"]


def test_cancelled_at_the_moment_its_slot_is_given_passes_it_on() -> None:
    async def story(found: Crowd) -> None:
        for number, name in enumerate(("running", "chosen", "next")):
            await found.come(name, number)
        found._ends["running"].set()
        while len(found.slots._waiting) == 2:
            await asyncio.sleep(0)
        found.works["chosen"].cancel()
        await settle()

    assert crowd(1, story).begun == ["running", "next"]


def test_slots_keep_one_for_a_lane_whose_work_is_still_to_come() -> None:
    async def main() -> list[str]:
        coming = [A, B]
        waiting = Crowd(2)
        waiting.slots = Slots(2, lambda: coming)
        await waiting.come("first", 1)
        await waiting.come("second", 2)
        kept = list(waiting.begun)
        coming.remove(B)
        await waiting.end("first")
        await waiting.come("third", 3)
        for name in ("second", "third"):
            await waiting.end(name)
        return [*kept, "|", *waiting.begun]

    assert asyncio.run(main()) == ["first", "|", "first", "second", "third"]
