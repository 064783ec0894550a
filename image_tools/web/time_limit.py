"""A time limit for work, whatever a server sends meanwhile."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, TypeVar

import aiohttp

T = TypeVar("T")


async def in_time(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`; asyncio.TimeoutError if it takes more than `seconds`.

    Work that is given up has ended on return. asyncio.wait_for is not used: before Python 3.12 it
    loses a cancellation that comes together with the result.
    """
    task = asyncio.ensure_future(work)
    is_taken = False
    try:
        await asyncio.wait({task}, timeout=None if math.isinf(seconds) else seconds)
        if not task.done():
            raise asyncio.TimeoutError
        is_taken = True
        return task.result()
    finally:
        if not is_taken:
            task.cancel()
            await _ended(task)
            _drop(task)


async def _ended(task: asyncio.Future[Any]) -> None:
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            continue  # The work has been cancelled already.


def _drop(task: asyncio.Future[Any]) -> None:
    """Close an answer that came too late; an exception counts as retrieved."""
    if task.cancelled() or task.exception() is not None:
        return
    if isinstance(found := task.result(), aiohttp.ClientResponse):
        found.close()
