"""Cancellation across threads and signal handlers."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from functools import partial


class Cancel:
    """A one-shot token that stops waiting threads; a signal handler may set it.

    It takes no locks, because a handler interrupts its own thread anywhere. `deadline` is a time of
    `time.monotonic()`; it does not set the token, waiting threads ask for `remaining()`. A token
    whose `parent` is set counts as set.
    """

    def __init__(self, parent: Cancel | None = None, *, deadline: float | None = None) -> None:
        self._parent = parent
        self._deadline = deadline
        self._reason: str | None = None
        # Each callback with a function that calls it once, on however many tokens it is.
        self._callbacks: dict[Callable[[], None], Callable[[], None]] = {}

    @property
    def reason(self) -> str | None:
        """Return why it was set, or None."""
        return self._reason or (self._parent.reason if self._parent else None)

    def set(self, reason: str = "cancelled") -> None:
        """Set the token and run each callback once, in this thread. Later calls change nothing."""
        self._reason = self._reason or reason or "cancelled"
        for call in tuple(self._callbacks.values()):
            call()

    def is_set(self) -> bool:
        """Return whether this token or its parent was set."""
        return self.reason is not None

    def remaining(self) -> float | None:
        """Return the seconds to the nearest deadline, never negative; None without one."""
        above = self._parent.remaining() if self._parent else None
        if self._deadline is None:
            return above
        own = max(0.0, self._deadline - time.monotonic())
        return own if above is None else min(own, above)

    def add_callback(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the token is set; at once if it is set already."""
        call = self._callbacks.setdefault(callback, partial(self._call, callback))
        if self._parent is not None:
            self._parent.add_callback(call)
        if self._reason is not None:
            call()

    def remove_callback(self, callback: Callable[[], None]) -> None:
        """Remove `callback` if it is known."""
        self._take_out(callback)

    def _call(self, callback: Callable[[], None]) -> None:
        # Of several tokens that are set at once, only one finds the callback.
        if self._take_out(callback):
            callback()

    def _take_out(self, callback: Callable[[], None]) -> bool:
        call = self._callbacks.pop(callback, None)
        if call is not None and self._parent is not None:
            self._parent.remove_callback(call)
        return call is not None

    def wait(self, seconds: float | None = None) -> bool:
        """Sleep until the token is set, or for so many seconds; return whether it is set."""
        bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        ring = partial(bell.put, None)
        self.add_callback(ring)
        try:
            bell.get(timeout=bounded(seconds))
        except queue.Empty:
            pass
        finally:
            self.remove_callback(ring)
        return self.is_set()


def bounded(seconds: float | None) -> float | None:
    """Return `seconds` as waiting functions of Python take them: None for infinity, bounded."""
    if seconds is None or math.isinf(seconds):
        return None
    return min(max(0.0, seconds), threading.TIMEOUT_MAX)
