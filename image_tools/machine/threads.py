"""Blocking work beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


async def in_thread(
    work: Callable[[], T],
    executor: Executor | None = None,
    *,
    dispose: Callable[[T], object] | None = None,
) -> T:
    """The result of `work`, done in a thread; who is cancelled waits for its end first.

    So nobody closes or removes what a thread still writes to. `dispose` gets a result that nobody
    takes any more: a file that was opened meanwhile.
    """
    future = asyncio.get_running_loop().run_in_executor(executor, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        # Nobody else will look at the exception, and asyncio complains.
        if not future.cancelled() and future.exception() is None and dispose is not None:
            dispose(future.result())
        raise
