"""One running child with its process group, and the threads that empty its pipes."""

from __future__ import annotations

import contextvars
import os
import queue
import select
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import IO, Any

from image_tools.machine.cancel import Cancel, bounded

# Children between their start and their end, by process number.
running: dict[int, Any] = {}

_GRACE = 2.0
_STUCK = 5.0


class End(Enum):
    """Why the wait for a child ended."""

    EXITED = "exited"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed out"


class ChildProcess:
    """One running child, from its start until it is reaped."""

    def __init__(self, process: Any, on_line: Callable[[str], None] | None) -> None:
        self.process = process
        self.events: queue.SimpleQueue[End] = queue.SimpleQueue()
        one_at_a_time = threading.Lock()

        def hand_on(line: bytes) -> None:
            if on_line is not None:
                with one_at_a_time:
                    on_line(line.rstrip(b"\r").decode(errors="replace"))

        self.stdout = Pump(process.stdout, STDOUT_BOUND, hand_on)
        self.stderr = Pump(process.stderr, STDERR_BOUND, hand_on)
        self._exited = False
        self._others: list[threading.Thread] = []

    def start_threads(self, stdin: bytes | None) -> None:
        """Start the threads that watch the child, empty its outputs and feed it `stdin`."""
        self._start(self._watch)
        self.stdout.start()
        self.stderr.start()
        if stdin is not None:
            self._start(partial(self._feed, stdin))

    def wait(self, seconds: float | None, cancel: Cancel | None) -> End:
        """Wait up to `seconds` and return what ended the wait."""
        ring = partial(self.events.put, End.CANCELLED)
        if cancel is not None:
            cancel.add_callback(ring)
        try:
            end = self.events.get(timeout=bounded(seconds))
        except queue.Empty:
            return End.TIMED_OUT
        finally:
            if cancel is not None:
                cancel.remove_callback(ring)
        self._exited = end is End.EXITED
        return end

    def stop(self) -> None:
        """Stop the whole group: SIGTERM, then SIGKILL."""
        for number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _STUCK)):
            signal_group(self.process, number)
            limit = time.monotonic() + patience
            while not self._exited and (left := limit - time.monotonic()) > 0:
                self.wait(left, None)
            if self._exited:
                return

    def reap(self) -> int:
        """Kill what is left of the group, reap the child, and return its exit code."""
        # The child is not reaped yet, so its number is still that of this group.
        signal_group(self.process, signal.SIGKILL)
        running.pop(self.process.pid, None)
        with suppress(queue.Empty):
            while not self._exited:
                self._exited = self.events.get(timeout=_STUCK) is End.EXITED
        code = self.process.wait() if self._exited else self.process.poll()
        self._settle()
        return -signal.SIGKILL if code is None else int(code)

    def _settle(self) -> None:
        begun = time.monotonic()
        for pump in (self.stdout, self.stderr):
            while pump.is_alive() and (
                time.monotonic() < begun + 0.25
                or (pump.has_more() and time.monotonic() < begun + _STUCK)
            ):
                pump.join(0.05)
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()
        for thread in self._others:
            # They end with the child; only a process outside the group that holds its pipes may
            # keep one.
            thread.join(0.25)

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True, name="child")
        thread.start()
        self._others.append(thread)

    def _watch(self) -> None:
        try:
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        except (ChildProcessError, AttributeError):
            # A faked child, or a system without waitid (macOS before Python 3.13).
            with suppress(Exception):
                self.process.wait()
        self.events.put(End.EXITED)

    def _feed(self, content: bytes) -> None:
        view = memoryview(content)
        with suppress(BrokenPipeError, ConnectionResetError):
            while view:
                view = view[self.process.stdin.write(view) :]
        with suppress(OSError):
            self.process.stdin.close()


def signal_group(process: Any, number: int) -> None:
    """Send a signal to the group of `process` if that is a child of this process."""
    with suppress(ProcessLookupError, PermissionError):
        if _is_our_child(process):
            os.killpg(process.pid, number)


def _is_our_child(process: Any) -> bool:
    # Tests fake children whose small numbers belong to other processes.
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    except AttributeError:
        return process.returncode is None
    return True


STDOUT_BOUND = 16 * 1024 * 1024
STDERR_BOUND = 64 * 1024
_LINE_BOUND = 64 * 1024
CHUNK = 64 * 1024


class Pump(threading.Thread):
    """A thread that empties one pipe, keeps at most `bound` bytes, and passes its lines on."""

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
        # The pipe may be closed meanwhile: a process that left the group still held it.
        with suppress(ValueError, OSError):
            self._context.run(self._empty)

    def has_more(self) -> bool:
        """Return whether the pipe holds bytes that were not read yet."""
        with suppress(ValueError, OSError):
            return bool(select.select([self._stream], [], [], 0)[0])
        return False

    def _empty(self) -> None:
        rest = b""
        while chunk := self._stream.read(CHUNK):
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
