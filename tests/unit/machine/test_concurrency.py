"""Coroutines together, within a time, and work in threads."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from image_tools.errors import NotFound
from image_tools.machine.concurrency import in_thread, together, within


async def _give(value: int) -> int:
    await asyncio.sleep(0)
    return value


def test_together_all_end_well_results_keep_their_order() -> None:
    async def main() -> list[int]:
        return await together(_give(number) for number in range(5))

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_together_nothing_to_do_is_an_empty_list() -> None:
    async def main() -> list[int]:
        return await together([])

    assert asyncio.run(main()) == []


def test_together_one_fails_the_others_have_ended_when_it_raises() -> None:
    ended: list[str] = []

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waiter")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise NotFound("gone")

    async def main() -> None:
        with pytest.raises(NotFound, match="gone"):
            await together([wait_for_ever(), fail(), wait_for_ever()])

    asyncio.run(main())
    assert ended == ["waiter", "waiter"]


def test_together_cancelled_from_outside_ends_all() -> None:
    ended: list[int] = []

    async def wait_for_ever(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    async def main() -> None:
        task = asyncio.ensure_future(together(wait_for_ever(number) for number in range(3)))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert sorted(ended) == [0, 1, 2]


def test_within_gives_the_result_or_none_when_it_was_given_up() -> None:
    ended: list[str] = []

    async def slow() -> int:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("slow")
        return 1

    async def main() -> list[int | None]:
        return [await within(60, _give(7)), await within(None, _give(8)), await within(0, slow())]

    assert asyncio.run(main()) == [7, 8, None]


def test_within_cancelled_as_the_work_ends_is_cancelled_all_the_same() -> None:
    async def main() -> bool:
        done = asyncio.Event()
        task = asyncio.ensure_future(within(60, done.wait()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        done.set()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(main())


def test_within_passes_on_a_timeout_error_of_the_work_itself() -> None:
    async def fails() -> int:
        raise asyncio.TimeoutError("of a socket")

    with pytest.raises(asyncio.TimeoutError, match="of a socket"):
        asyncio.run(within(None, fails()))


def test_together_cancelled_while_the_rest_ends_is_cancelled_all_the_same() -> None:
    async def fail() -> None:
        raise NotFound("gone")

    async def main() -> None:
        ending, end = asyncio.Event(), asyncio.Event()

        async def slow_to_end() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ending.set()
                await end.wait()

        task = asyncio.ensure_future(together([fail(), slow_to_end()]))
        await ending.wait()
        task.cancel()
        await asyncio.sleep(0)
        end.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_in_thread_file_opened_for_a_cancelled_caller_is_closed(tmp_path: Path) -> None:
    """It stayed open, and Python complained about it much later, in somebody else's test."""
    (tmp_path / "blob").write_bytes(b"content")
    begun, may_open = threading.Event(), threading.Event()
    opened: list[BinaryIO] = []

    def work() -> BinaryIO:
        begun.set()
        may_open.wait(10)
        opened.append((tmp_path / "blob").open("rb"))
        return opened[0]

    async def cancelled_meanwhile() -> None:
        task = asyncio.ensure_future(in_thread(work, dispose=lambda file: file.close()))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.sleep(0)
        may_open.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled_meanwhile())

    assert [file.closed for file in opened] == [True]
