"""How long somebody else may take who sends something all the time, and never comes to an end."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, TypeVar

import aiohttp

T = TypeVar("T")


async def in_time(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; asyncio.TimeoutError when it has none after `seconds`.

    What is given up has ended on return.
    Not asyncio.wait_for: before Python 3.12 that loses a cancellation which comes with the result.
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


def read_at_once(response: aiohttp.ClientResponse) -> bytes | None:
    """The body of an answer that has come whole with its head, as most do; else None."""
    return response.content.read_nowait() if response.content.is_eof() else None


async def read_up_to(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body of an answer; of one that has more than `most` bytes, a little more than those."""
    body = bytearray()
    while len(body) <= most and (piece := await response.content.readany()):
        body += piece
    return bytes(body)


async def _ended(task: asyncio.Future[Any]) -> None:
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            continue  # Whatever is given up is given up once only.


def _drop(task: asyncio.Future[Any]) -> None:
    """What came too late: an answer is closed, a failure has been looked at."""
    if task.cancelled() or task.exception() is not None:
        return
    if isinstance(found := task.result(), aiohttp.ClientResponse):
        found.close()
