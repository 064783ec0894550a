"""Saying stop to whoever waits for a child."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from functools import partial


class Cancel:
    """A one-shot token that says stop, to other threads and from signal handlers alike.

    Lock-free on purpose: a handler runs inside whatever its thread was doing. `deadline` is a time
    of `time.monotonic()`; it makes nothing set, those who wait ask for `remaining()`. A `parent`
    that is set counts as set here.
    """

    def __init__(self, parent: Cancel | None = None, *, deadline: float | None = None) -> None:
        self._parent = parent
        self._deadline = deadline
        self._reason: str | None = None
        # Each callback with what calls it once, however many tokens hear of it.
        self._callbacks: dict[Callable[[], None], Callable[[], None]] = {}

    @property
    def reason(self) -> str | None:
        """Why it was set, or None."""
        return self._reason or (self._parent.reason if self._parent else None)

    def set(self, reason: str = "cancelled") -> None:
        """Say stop; the callbacks run here and now, each once. Later calls change nothing."""
        self._reason = self._reason or reason or "cancelled"
        for call in tuple(self._callbacks.values()):
            call()

    def is_set(self) -> bool:
        """Whether this token or its parent was set."""
        return self.reason is not None

    def remaining(self) -> float | None:
        """Seconds to the nearest deadline, never negative; None without one."""
        above = self._parent.remaining() if self._parent else None
        if self._deadline is None:
            return above
        own = max(0.0, self._deadline - time.monotonic())
        return own if above is None else min(own, above)

    def add_callback(self, callback: Callable[[], None]) -> None:
        """Have `callback` called once when the token is set; at once when it is set already."""
        call = self._callbacks.setdefault(callback, partial(self._call, callback))
        if self._parent is not None:
            self._parent.add_callback(call)
        if self._reason is not None:
            call()

    def remove_callback(self, callback: Callable[[], None]) -> None:
        """Forget `callback`; nothing when it is not known."""
        self._take_out(callback)

    def _call(self, callback: Callable[[], None]) -> None:
        # Of several tokens that are set at once only one finds it.
        if self._take_out(callback):
            callback()

    def _take_out(self, callback: Callable[[], None]) -> bool:
        call = self._callbacks.pop(callback, None)
        if call is not None and self._parent is not None:
            self._parent.remove_callback(call)
        return call is not None

    def wait(self, seconds: float | None = None) -> bool:
        """Sleep until set, or for so many seconds; whether it is set then."""
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
    """`seconds` as the waiting functions of Python take them: no infinity, nothing too long."""
    if seconds is None or math.isinf(seconds):
        return None
    return min(max(0.0, seconds), threading.TIMEOUT_MAX)
