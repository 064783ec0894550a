"""The resources of one run: its private folder, its event loop, its locks, its way to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import CancelledError
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from image_tools.errors import Interrupted
from image_tools.machine.cancel import Cancel
from image_tools.machine.event_loop import LoopThread, result_of
from image_tools.machine.signals import die_now
from image_tools.machine.workspace import Workspace

T = TypeVar("T")


class RunSession:
    """Holds what one run needs from this machine, as a context.

    `stack` closes what the run opens, last opened first, before the loop and the folder go.
    `signal` is the signal that ends the run, and `stopped` is set with it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.stack = ExitStack()
        self.signal: int | None = None
        self.stopped = Cancel()
        self._stops: list[Callable[[], object]] = []

    def __enter__(self) -> RunSession:
        with ExitStack() as stack:
            self.workspace = stack.enter_context(Workspace.create(self._environ))
            self.loop = LoopThread()
            stack.callback(self.loop.stop)
            self.stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stack.close()

    def cancel(self, signal_number: int) -> None:
        """End the run: nothing new starts, children end. Safe in a signal handler."""
        self.signal = signal_number
        self.stopped.set()
        for stop in self._stops:
            self.loop.loop.call_soon_threadsafe(stop)

    def abandon(self, signal_number: int) -> NoReturn:
        """End the process at once: children are killed, the private folder is removed."""
        die_now(self.workspace.path)(signal_number)
        raise AssertionError("unreachable")

    def on_cancel(self, stop: Callable[[], object]) -> None:
        """Call `stop` on the event loop when a signal ends the run, or ended it already."""
        self._stops.append(stop)
        if self.signal is not None:
            self.loop.loop.call_soon_threadsafe(stop)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`, done on the event loop to its end, also after a signal."""
        return result_of(self.loop.submit(work))

    def result(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`; Interrupted, and `work` is cancelled, when a signal came."""
        if self.signal is not None:
            work.close()
            raise self._interruption()
        future = self.loop.submit(work)
        self.on_cancel(future.cancel)
        try:
            return result_of(future)
        except CancelledError:
            raise self._interruption() from None

    def _interruption(self) -> Interrupted:
        return Interrupted(self.signal or signal.SIGINT)
