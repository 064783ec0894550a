"""One event loop in one thread, beside the threads that wait for tools."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, TimeoutError
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")
_STEP_SECONDS = 0.2
_PATIENCE = 5.0


class LoopThread:
    """An event loop in a thread of its own; `patience` is how long `stop` waits, in seconds."""

    def __init__(self, patience: float = _PATIENCE) -> None:
        self._patience = patience
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="exchange", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `work` on the loop and return its future, for any other thread to wait for."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def stop(self) -> None:
        """Cancel all work, stop the loop, end its thread; work that resists is given up."""
        if self._thread.is_alive():
            with suppress(TimeoutError):
                self.submit(_cancel_all()).result(timeout=self._patience)
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(timeout=self._patience)
        if not self._thread.is_alive():
            self.loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())


def result_of(future: Future[T]) -> T:
    """Return the result of `future`, and let signal handlers run meanwhile.

    The kernel may deliver a signal to any thread, but Python runs its handler in the main one,
    which does not wake up while it waits for a lock without a timeout.
    """
    while True:
        try:
            return future.result(timeout=_STEP_SECONDS)
        except TimeoutError:
            if future.done():
                return future.result()


async def _cancel_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
