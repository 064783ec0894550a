"""Threads that empty the pipes of a child."""

from __future__ import annotations

import contextvars
import select
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import IO

STDOUT_BOUND = 16 * 1024 * 1024
STDERR_BOUND = 64 * 1024
_LINE_BOUND = 64 * 1024
_CHUNK = 64 * 1024


class Pump(threading.Thread):
    """Empties one pipe, keeps a bounded part of it, and hands its lines on."""

    def __init__(self, stream: IO[bytes], bound: int, on_line: Callable[[bytes], None]) -> None:
        super().__init__(daemon=True, name="pump")
        self.kept = bytearray()
        self.seen = 0
        self.failure: Exception | None = None
        self._stream = stream
        self._keeps_end = bound == STDERR_BOUND
        self._bound = bound
        self._on_line = on_line
        self._context = contextvars.copy_context()

    def run(self) -> None:
        # Closed under our feet: somebody who left the group held the pipe, and nobody waits for us.
        with suppress(ValueError, OSError):
            self._context.run(self._empty)

    def has_more(self) -> bool:
        """Whether bytes lie in the pipe that were not read yet."""
        with suppress(ValueError, OSError):
            return bool(select.select([self._stream], [], [], 0)[0])
        return False

    def _empty(self) -> None:
        rest = b""
        while chunk := self._stream.read(_CHUNK):
            self._keep(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LINE_BOUND:
                lines, rest = [*lines, rest], b""
            self._hand_on(lines)
        self._hand_on([rest] if rest else [])

    def _keep(self, chunk: bytes) -> None:
        self.seen += len(chunk)
        if not self._keeps_end:
            self.kept += chunk[: max(0, self._bound - len(self.kept))]
            return
        self.kept += chunk
        if len(self.kept) > 2 * self._bound:
            del self.kept[: -self._bound]

    def _hand_on(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            if self.failure is not None:
                return
            try:
                self._on_line(line)
            except (
                Exception
            ) as failure:  # kept for the caller's thread: the pipe must go on flowing
                self.failure = failure
