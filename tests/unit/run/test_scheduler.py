"""Who goes first, who waits, and that no registry takes every place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from image_tools.oci.digest import Digest
from image_tools.plan.schedule import Lane, Work
from image_tools.run.scheduler import Scheduler

SLOW: Lane = ("slow.example", "to.example")
QUICK: Lane = ("quick.example", "to.example")


def _work(number: int, size: int, lane: Lane = QUICK) -> Work:
    return Work(image=number, lane=lane, blobs={Digest.of(b"%d" % number): size})


def _started(works: list[Work], count: int) -> list[int]:
    """The images in the order they start, each ending before the next begins."""

    async def main() -> list[int]:
        scheduler = Scheduler(count, 1)
        order: list[int] = []

        async def job(work: Work) -> None:
            async with scheduler.image(work):
                order.append(work.image)
                await asyncio.sleep(0)

        tasks = [asyncio.ensure_future(job(work)) for work in works]
        await asyncio.sleep(0)
        scheduler.all_planned()
        await asyncio.gather(*tasks)
        return order

    return asyncio.run(main())


def test_images_all_planned_starts_the_image_with_most_bytes_first() -> None:
    assert _started([_work(1, 10), _work(2, 30), _work(3, 20)], 1) == [2, 3, 1]


def test_images_before_all_is_planned_starts_nothing() -> None:
    async def main() -> list[bool]:
        scheduler = Scheduler(4, 1)
        running = asyncio.Event()

        async def job() -> None:
            async with scheduler.image(_work(1, 1)):
                running.set()

        task = asyncio.ensure_future(job())
        await asyncio.sleep(0.01)
        before = running.is_set()
        scheduler.all_planned()
        await task
        return [before, running.is_set()]

    assert asyncio.run(main()) == [False, True]


def test_images_two_registries_a_slow_one_never_takes_the_last_place() -> None:
    async def main() -> int:
        scheduler = Scheduler(3, 1)
        stuck = asyncio.Event()
        slow_running = 0
        quick_running, quick_may_end = asyncio.Event(), asyncio.Event()

        async def slow(number: int) -> None:
            nonlocal slow_running
            async with scheduler.image(_work(number, 100, SLOW)):
                slow_running += 1
                await stuck.wait()

        async def quick() -> None:
            async with scheduler.image(_work(99, 1)):
                quick_running.set()
                await quick_may_end.wait()

        tasks = [asyncio.ensure_future(slow(number)) for number in range(5)]
        tasks.append(asyncio.ensure_future(quick()))
        await asyncio.sleep(0)
        scheduler.all_planned()
        await asyncio.wait_for(quick_running.wait(), 5)
        await asyncio.sleep(0.01)
        while_quick = slow_running
        quick_may_end.set()
        stuck.set()
        await asyncio.gather(*tasks)
        return while_quick

    assert asyncio.run(main()) == 2


def test_images_a_cancelled_waiter_gives_its_place_to_the_next() -> None:
    async def main() -> list[int]:
        scheduler = Scheduler(1, 1)
        scheduler.all_planned()
        order: list[int] = []
        go_on = asyncio.Event()

        async def job(number: int) -> None:
            async with scheduler.image(_work(number, 10 - number)):
                order.append(number)
                await go_on.wait()

        tasks = [asyncio.ensure_future(job(number)) for number in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[1].cancel()
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        return order

    assert asyncio.run(main()) == [0, 2]


def test_images_keeps_a_place_for_a_registry_whose_images_are_still_to_come() -> None:
    async def main() -> tuple[list[int], list[int]]:
        scheduler = Scheduler(2, 1)
        gate, started = asyncio.Event(), list[int]()

        async def job(work: Work) -> None:
            async with scheduler.image(work):
                started.append(work.image)
                await gate.wait()
            scheduler.ended(work.lane)

        for lane in (SLOW, SLOW, SLOW, QUICK):
            scheduler.expect(lane)
        tasks = [asyncio.ensure_future(job(_work(number, 1, SLOW))) for number in (1, 2, 3)]
        await asyncio.sleep(0)
        scheduler.all_planned()
        await asyncio.sleep(0)
        kept = list(started)
        scheduler.ended(QUICK)
        await asyncio.sleep(0)
        free = list(started)
        gate.set()
        await asyncio.gather(*tasks)
        return kept, free

    assert asyncio.run(main()) == ([1], [1, 2])


# --- tools

A, B = ("one.example", "dst"), ("two.example", "dst")


class Crowd:
    """Works that hold the place of a tool until they are told to end."""

    def __init__(self, count: int) -> None:
        self.scheduler = Scheduler(1, count)
        self.begun: list[str] = []
        self.works: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def come(self, name: str, rank: int, lane: tuple[str, str] = A) -> None:
        self._ends[name] = asyncio.Event()

        async def work() -> None:
            async with self.scheduler.tool(rank, lane):
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
        places = found.scheduler._tools
        assert (sum(map(len, places.waiting.values())), places.running) == (0, [])
        return found

    return asyncio.run(told())


@pytest.mark.parametrize("count", [1, 2, 5])
def test_tools_are_so_many_and_no_more(count: int) -> None:
    async def story(found: Crowd) -> None:
        for number in range(7):
            await found.come(str(number), number)
        assert found.begun == [str(number) for number in range(count)]

    assert len(crowd(count, story).begun) == count


def test_freed_place_goes_to_the_lowest_rank_and_among_equals_to_the_first() -> None:
    async def story(found: Crowd) -> None:
        await found.come("running", 9)
        for name, rank in (("late", 3), ("first", 1), ("second", 1)):
            await found.come(name, rank)
        for name in ("running", "first", "second"):
            await found.end(name)

    assert crowd(1, story).begun == ["running", "first", "second", "late"]


def test_last_place_is_not_given_to_a_registry_that_has_all_the_others() -> None:
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


def test_cancelled_while_waiting_takes_no_place_from_the_next() -> None:
    async def story(found: Crowd) -> None:
        for number, name in enumerate(("running", "cancelled", "next")):
            await found.come(name, number)
        await found.cancel("cancelled")
        await found.end("running")

    assert crowd(1, story).begun == ["running", "next"]


def test_cancelled_or_failed_while_running_gives_its_place_back() -> None:
    async def story(found: Crowd) -> None:
        with pytest.raises(KeyError):
            async with found.scheduler.tool(0, A):
                raise KeyError
        for number, name in enumerate(("running", "next")):
            await found.come(name, number)
        await found.cancel("running")

    assert crowd(1, story).begun == ["running", "next"]


def test_cancelled_at_the_moment_its_place_is_given_passes_it_on() -> None:
    async def story(found: Crowd) -> None:
        for number, name in enumerate(("running", "chosen", "next")):
            await found.come(name, number)
        found._ends["running"].set()
        while sum(map(len, found.scheduler._tools.waiting.values())) == 2:
            await asyncio.sleep(0)
        found.works["chosen"].cancel()
        await settle()

    assert crowd(1, story).begun == ["running", "next"]


def test_tools_keep_one_for_a_lane_whose_work_is_still_to_come() -> None:
    async def main() -> list[str]:
        waiting = Crowd(2)
        for lane in (A, B):
            waiting.scheduler.expect(lane)
        await waiting.come("first", 1)
        await waiting.come("second", 2)
        kept = list(waiting.begun)
        waiting.scheduler.ended(B)
        await waiting.end("first")
        await waiting.come("third", 3)
        for name in ("second", "third"):
            await waiting.end(name)
        return [*kept, "|", *waiting.begun]

    assert asyncio.run(main()) == ["first", "|", "first", "second", "third"]
