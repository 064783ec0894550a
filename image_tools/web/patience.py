"""Reading answers within bounds of time and size, whatever a server sends."""

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


def read_at_once(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the body of an answer if it came together with its head, as most do, else None."""
    return response.content.read_nowait() if response.content.is_eof() else None


async def read_up_to(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the body of an answer, or a little more than `most` bytes of a longer one."""
    body = bytearray()
    while len(body) <= most and (piece := await response.content.readany()):
        body += piece
    return bytes(body)


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
