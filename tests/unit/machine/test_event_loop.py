"""The event loop beside the threads: what it runs, and that it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError

import pytest

from image_tools.machine.event_loop import LoopThread, result_of


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    before = set(threading.enumerate())
    found = LoopThread()
    yield found
    found.stop()
    assert found.loop.is_closed()
    assert set(threading.enumerate()) <= before


async def where() -> str:
    return threading.current_thread().name


def test_work_runs_in_the_thread_of_the_loop(loop: LoopThread) -> None:
    assert loop.submit(where()).result(5) == "exchange"
    assert threading.current_thread().name != "exchange"


def test_work_that_fails_fails_for_whoever_waits(loop: LoopThread) -> None:
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        loop.submit(fail()).result(5)


def test_stop_cancels_what_still_runs_and_lets_it_tidy_up(loop: LoopThread) -> None:
    told = []

    async def work(started: threading.Event) -> None:
        try:
            started.set()
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            told.append("tidied")

    begun = [threading.Event() for _ in range(3)]
    futures = [loop.submit(work(event)) for event in begun]
    assert all(event.wait(5) for event in begun)

    loop.stop()

    assert told == ["tidied"] * 3
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(0)


def test_stop_closes_generators_nobody_has_finished(loop: LoopThread) -> None:
    told, kept = [], []

    async def chunks() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            told.append("closed")

    async def first() -> int:
        kept.append(chunks())
        return await kept[0].__anext__()

    assert loop.submit(first()).result(5) == 1
    loop.stop()

    assert told == ["closed"]


def test_stop_twice_is_harmless(loop: LoopThread) -> None:
    loop.stop()
    loop.stop()

    assert loop.loop.is_closed()


def test_stop_gives_up_work_that_resists() -> None:
    loop, release = LoopThread(patience=0.05), threading.Event()
    loop.loop.set_exception_handler(lambda _loop, _context: None)

    async def resist() -> None:
        while not release.is_set():
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue

    work = resist()
    loop.submit(work)
    loop.submit(where()).result(5)

    loop.stop()

    assert loop.loop.is_closed()
    release.set()
    with pytest.raises(StopIteration):
        work.throw(asyncio.CancelledError)


def test_result_of_waits_and_passes_on_what_the_work_raises() -> None:
    loop = LoopThread()

    async def give() -> int:
        await asyncio.sleep(0.3)
        return 5

    async def give_up() -> None:
        raise TimeoutError("of the work")

    try:
        assert result_of(loop.submit(give())) == 5
        with pytest.raises(TimeoutError, match="of the work"):
            result_of(loop.submit(give_up()))
    finally:
        loop.stop()
