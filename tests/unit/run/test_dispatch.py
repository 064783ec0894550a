from __future__ import annotations

import asyncio

from image_tools.oci.digest import Digest
from image_tools.plan.schedule import Lane, Work
from image_tools.run.dispatch import Dispatch

SLOW: Lane = ("slow.example", "to.example")
QUICK: Lane = ("quick.example", "to.example")


def _work(number: int, size: int, lane: Lane = QUICK) -> Work:
    return Work(image=number, lane=lane, blobs={Digest.of(b"%d" % number): size})


def _started(works: list[Work], count: int) -> list[int]:
    """The images in the order they start, each ending before the next begins."""

    async def main() -> list[int]:
        dispatch = Dispatch(count)
        order: list[int] = []

        async def job(work: Work) -> None:
            async with dispatch.turn(work):
                order.append(work.image)
                await asyncio.sleep(0)

        tasks = [asyncio.ensure_future(job(work)) for work in works]
        await asyncio.sleep(0)
        dispatch.all_planned()
        await asyncio.gather(*tasks)
        return order

    return asyncio.run(main())


def test_dispatch_all_planned_starts_the_image_with_most_bytes_first() -> None:
    assert _started([_work(1, 10), _work(2, 30), _work(3, 20)], 1) == [2, 3, 1]


def test_dispatch_before_all_is_planned_starts_nothing() -> None:
    async def main() -> list[bool]:
        dispatch = Dispatch(4)
        running = asyncio.Event()

        async def job() -> None:
            async with dispatch.turn(_work(1, 1)):
                running.set()

        task = asyncio.ensure_future(job())
        await asyncio.sleep(0.01)
        before = running.is_set()
        dispatch.all_planned()
        await task
        return [before, running.is_set()]

    assert asyncio.run(main()) == [False, True]


def test_dispatch_two_registries_a_slow_one_never_takes_the_last_place() -> None:
    async def main() -> int:
        dispatch = Dispatch(3)
        stuck = asyncio.Event()
        slow_running = 0
        quick_running, quick_may_end = asyncio.Event(), asyncio.Event()

        async def slow(number: int) -> None:
            nonlocal slow_running
            async with dispatch.turn(_work(number, 100, SLOW)):
                slow_running += 1
                await stuck.wait()

        async def quick() -> None:
            async with dispatch.turn(_work(99, 1)):
                quick_running.set()
                await quick_may_end.wait()

        tasks = [asyncio.ensure_future(slow(number)) for number in range(5)]
        tasks.append(asyncio.ensure_future(quick()))
        await asyncio.sleep(0)
        dispatch.all_planned()
        await asyncio.wait_for(quick_running.wait(), 5)
        await asyncio.sleep(0.01)
        while_quick = slow_running
        quick_may_end.set()
        stuck.set()
        await asyncio.gather(*tasks)
        return while_quick

    assert asyncio.run(main()) == 2


def test_dispatch_a_cancelled_waiter_gives_its_place_to_the_next() -> None:
    async def main() -> list[int]:
        dispatch = Dispatch(1)
        dispatch.all_planned()
        order: list[int] = []
        go_on = asyncio.Event()

        async def job(number: int) -> None:
            async with dispatch.turn(_work(number, 10 - number)):
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


def test_dispatch_keeps_a_place_for_a_registry_whose_images_are_still_to_come() -> None:
    async def main() -> tuple[list[int], list[int]]:
        dispatch = Dispatch(2)
        gate, started = asyncio.Event(), list[int]()

        async def job(work: Work) -> None:
            async with dispatch.turn(work):
                started.append(work.image)
                await gate.wait()
            dispatch.ended(work.lane)

        for lane in (SLOW, SLOW, SLOW, QUICK):
            dispatch.expect(lane)
        tasks = [asyncio.ensure_future(job(_work(number, 1, SLOW))) for number in (1, 2, 3)]
        await asyncio.sleep(0)
        dispatch.all_planned()
        await asyncio.sleep(0)
        kept = list(started)
        dispatch.ended(QUICK)
        await asyncio.sleep(0)
        free = list(started)
        gate.set()
        await asyncio.gather(*tasks)
        return kept, free

    assert asyncio.run(main()) == ([1], [1, 2])
