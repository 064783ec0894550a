"""An event loop in which nobody waits: where all of it sleeps, its clock goes on by itself."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Adds up in `ahead` the seconds that a loop wanted to wait."""

    ahead = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            return super().select()  # A thread is awaited.
        found = super().select(0)
        if not found:
            self.ahead += max(0.0, timeout)
        return found


class _QuickLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._waited = _Selector()
        super().__init__(self._waited)

    def time(self) -> float:
        return super().time() + self._waited.ahead


def run(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`; its sleeps and time-outs pass at once, and in order."""
    loop = _QuickLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        for ending in (_end_tasks(), loop.shutdown_asyncgens(), loop.shutdown_default_executor()):
            loop.run_until_complete(ending)
        loop.close()


async def _end_tasks() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
