"""Run coroutines together, within a time, or in a thread: none still runs when these return."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

from image_tools.oci.descriptor import Descriptor
from image_tools.oci.tree import Answer, Tree, TreeWalk

T = TypeVar("T")


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of `works`, in order; the first failure cancels the rest and is raised.

    No work still runs when this returns or raises (asyncio.TaskGroup needs Python 3.11).
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        # Once only: a second cancellation would interrupt work that is already ending.
        for task in tasks:
            task.cancel()
        cancelled = await settled(tasks)
    if cancelled:
        raise asyncio.CancelledError
    # All of them are read, because asyncio logs an exception that no one retrieves.
    errors = [task.exception() for task in tasks if not task.cancelled()]
    for error in filter(None, errors):
        raise error
    return [task.result() for task in tasks]


async def run_walk_async(
    asking: TreeWalk,
    get: Callable[[Descriptor], Awaitable[Answer]],
    after: Callable[[], Awaitable[None]] | None = None,
) -> Tree:
    """Return the tree of a walk; `get` answers for one entry, all of a batch at once.

    `after` is awaited once each batch was looked at, and once at the end.
    """
    try:
        batch = next(asking)
        while True:
            batch = asking.send(await together(_answer(get, entry) for entry in batch))
            if after is not None:
                await after()
    except StopIteration as end:
        if after is not None:
            await after()
        tree: Tree = end.value
        return tree


async def _answer(get: Callable[[Descriptor], Awaitable[Answer]], entry: Descriptor) -> Answer:
    return await get(entry)


async def within(seconds: float | None, work: Coroutine[Any, Any, T]) -> T | None:
    """Return the result of `work`, or None if it took more than `seconds`; None is no limit.

    Not asyncio.wait_for: before Python 3.12 it loses a cancellation that comes with the result, and
    cannot tell a TimeoutError of `work` from its own.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        given_up = not task.done()
        task.cancel()
        cancelled = await settled([task])
    if cancelled:
        raise asyncio.CancelledError
    return None if given_up and task.cancelled() else task.result()


async def settled(futures: Sequence[asyncio.Future[Any]]) -> bool:
    """Wait until all `futures` have ended; return whether this was cancelled meanwhile."""
    cancelled = False
    while waiting := [future for future in futures if not future.done()]:
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError:
            cancelled = True
    for future in futures:
        if not future.cancelled():
            future.exception()  # asyncio logs an exception that no one retrieves.
    return cancelled


async def in_thread(
    work: Callable[[], T],
    executor: Executor | None = None,
    *,
    dispose: Callable[[T], object] | None = None,
) -> T:
    """Return the result of `work`, done in a thread; a cancelled caller waits for its end first.

    So no file is closed or removed while a thread still writes to it. `dispose` gets a result that
    the cancelled caller does not take, such as an open file.
    """
    future = asyncio.get_running_loop().run_in_executor(executor, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        # asyncio logs an exception that no one retrieves.
        if not future.cancelled() and future.exception() is None and dispose is not None:
            dispose(future.result())
        raise
