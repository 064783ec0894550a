"""The one room that starts captured children: exact environment, two pipes, an own session.

plumbum's `run(timeout=)` waits for whoever holds the pipe, and kills only the direct child; so the
child is opened with `popen`, emptied by threads, and stopped with its whole process group.
"""

from __future__ import annotations

import contextvars
import math
import os
import queue
import select
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import PurePath
from typing import IO, Any

from plumbum import local
from plumbum.path.local import LocalPath

from image_tools.errors import EnvironmentProblem, ToolMissing

_STDOUT_BOUND = 16 * 1024 * 1024
_STDERR_BOUND = 64 * 1024
_LINE_BOUND = 64 * 1024
_CHUNK = 64 * 1024
_GRACE = 2.0
_STUCK = 5.0
_NOT_STARTABLE = (FileNotFoundError, PermissionError, NotADirectoryError)

# plumbum lays every child's environment over a snapshot of ours, taken at its import, passwords
# included. Emptied, the snapshot adds nothing: a child has what its caller hands over, no more.
local.env.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedRun:
    """What a child left behind; `returncode` is negative for the signal that ended it.

    `stdout` holds the first 16 MiB (`truncated` says that there was more), `stderr` the last 64 KiB.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes = b""
    stderr: str = ""
    seconds: float = 0.0
    timed_out: bool = False
    cancelled: bool = False
    truncated: bool = False


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
        self._callbacks: dict[Callable[[], None], None] = {}

    @property
    def reason(self) -> str | None:
        """Why it was set, or None."""
        return self._reason or (self._parent.reason if self._parent else None)

    def set(self, reason: str = "cancelled") -> None:
        """Say stop; the callbacks run here and now, each once. Later calls change nothing."""
        self._reason = self._reason or reason or "cancelled"
        while self._callbacks:
            with suppress(KeyError):
                self._callbacks.popitem()[0]()

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
        self._callbacks[callback] = None
        if self._reason is not None and self._callbacks.pop(callback, self) is None:
            callback()
        elif self._parent is not None:
            self._parent.add_callback(callback)

    def remove_callback(self, callback: Callable[[], None]) -> None:
        """Forget `callback`; nothing when it is not known."""
        self._callbacks.pop(callback, None)
        if self._parent is not None:
            self._parent.remove_callback(callback)

    def wait(self, seconds: float | None = None) -> bool:
        """Sleep until set, or for so many seconds; whether it is set then."""
        bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        ring = partial(bell.put, None)
        self.add_callback(ring)
        try:
            bell.get(timeout=_bounded(seconds))
        except queue.Empty:
            pass
        finally:
            self.remove_callback(ring)
        return self.is_set()


class _End(Enum):
    EXITED = "exited"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed out"


class _Pump(threading.Thread):
    """Empties one pipe, keeps a bounded part of it, and hands its lines on."""

    def __init__(self, stream: IO[bytes], bound: int, on_line: Callable[[bytes], None]) -> None:
        super().__init__(daemon=True, name="pump")
        self.kept = bytearray()
        self.seen = 0
        self.failure: Exception | None = None
        self._stream = stream
        self._keeps_end = bound == _STDERR_BOUND
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


class _Child:
    """One running child, from its start to its burial."""

    def __init__(self, process: Any, on_line: Callable[[str], None] | None) -> None:
        self.process = process
        self.events: queue.SimpleQueue[_End] = queue.SimpleQueue()
        one_at_a_time = threading.Lock()

        def hand_on(line: bytes) -> None:
            if on_line is not None:
                with one_at_a_time:
                    on_line(line.rstrip(b"\r").decode(errors="replace"))

        self.stdout = _Pump(process.stdout, _STDOUT_BOUND, hand_on)
        self.stderr = _Pump(process.stderr, _STDERR_BOUND, hand_on)
        self._exited = False

    def attend(self, stdin: bytes | None) -> None:
        """Start the threads that empty, feed and watch the child."""
        self.stdout.start()
        self.stderr.start()
        threading.Thread(target=self._watch, daemon=True, name="watch").start()
        if stdin is not None:
            threading.Thread(target=self._feed, args=(stdin,), daemon=True, name="feed").start()

    def wait(self, seconds: float | None, cancel: Cancel | None) -> _End:
        """Why the waiting ended: the child did, the time did, or somebody said stop."""
        ring = partial(self.events.put, _End.CANCELLED)
        if cancel is not None:
            cancel.add_callback(ring)
        try:
            end = self.events.get(timeout=_bounded(seconds))
        except queue.Empty:
            return _End.TIMED_OUT
        finally:
            if cancel is not None:
                cancel.remove_callback(ring)
        self._exited = end is _End.EXITED
        return end

    def stop(self) -> None:
        """End the whole group: politely, then for sure."""
        for number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _STUCK)):
            _signal_group(self.process, number)
            limit = time.monotonic() + patience
            while not self._exited and (left := limit - time.monotonic()) > 0:
                self.wait(left, None)
            if self._exited:
                return

    def bury(self) -> int:
        """End what is left of the group, reap the child, and return its code."""
        # The child is not reaped yet, so its number still means this group and no other.
        _signal_group(self.process, signal.SIGKILL)
        _running.pop(self.process.pid, None)
        with suppress(queue.Empty):
            while not self._exited:
                self._exited = self.events.get(timeout=_STUCK) is _End.EXITED
        code = self.process.wait() if self._exited else -signal.SIGKILL
        self._settle()
        return int(code)

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

    def _watch(self) -> None:
        try:
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        except (ChildProcessError, AttributeError):
            # A faked child, or a system without waitid (macOS before Python 3.13).
            with suppress(Exception):
                self.process.wait()
        self.events.put(_End.EXITED)

    def _feed(self, content: bytes) -> None:
        view = memoryview(content)
        with suppress(BrokenPipeError, ConnectionResetError):
            while view:
                view = view[self.process.stdin.write(view) :]
        with suppress(OSError):
            self.process.stdin.close()


_running: dict[int, Any] = {}
_starting = threading.RLock()


def run(  # noqa: PLR0913 - one call with everything a child has, at ten call sites
    argv: tuple[str, ...],
    *,
    environment: Mapping[str, str],
    timeout: float | None,
    stdin: bytes | None = None,
    cancel: Cancel | None = None,
    on_line: Callable[[str], None] | None = None,
) -> CompletedRun:
    """What the child `argv` printed and how it ended; no exit code is an exception.

    `argv[0]` is an absolute path. The child sees `environment` and nothing else. After `timeout`
    seconds, at `cancel`'s deadline, or when `cancel` is set its whole process group is stopped:
    SIGTERM, two seconds later SIGKILL. `on_line` gets every line of both outputs as it comes, one
    at a time, in other threads that share the caller's context variables.
    Raises ToolMissing when the file cannot be started, EnvironmentProblem when nothing can.
    """
    begun = time.monotonic()
    process = _start(argv, environment, stdin is not None, cancel)
    if process is None:
        return CompletedRun(argv=argv, returncode=-signal.SIGTERM, cancelled=True)
    child = _Child(process, on_line)
    try:
        child.attend(stdin)
        end = child.wait(_nearest(timeout, cancel), cancel)
        if end is not _End.EXITED:
            child.stop()
    finally:
        code = child.bury()
    for pump in (child.stdout, child.stderr):
        if pump.failure is not None:
            raise pump.failure
    return CompletedRun(
        argv=argv,
        returncode=code,
        stdout=bytes(child.stdout.kept),
        stderr=child.stderr.kept[-_STDERR_BOUND:].decode(errors="replace"),
        seconds=time.monotonic() - begun,
        timed_out=end is _End.TIMED_OUT,
        cancelled=end is _End.CANCELLED,
        truncated=child.stdout.seen > len(child.stdout.kept),
    )


def kill_all() -> None:
    """SIGKILL to the groups of all running children, at once; may be called in a signal handler."""
    # A start under way in another thread ends in milliseconds; one in this thread cannot be awaited.
    held = _starting.acquire(timeout=0.5)
    for process in tuple(_running.values()):
        _signal_group(process, signal.SIGKILL)
    if held:
        _starting.release()


def _start(
    argv: tuple[str, ...], environment: Mapping[str, str], fed: bool, cancel: Cancel | None
) -> Any:
    # `local[path]` with a LocalPath looks nothing up, and swaps no os.environ to expand a tilde.
    command = local[LocalPath(argv[0])]
    with _starting:
        if cancel is not None and cancel.is_set():
            return None
        try:
            # -1 and -3 are PIPE and DEVNULL; unbuffered, because closing a buffered pipe blocks
            # while somebody reads from it; cwd "." also works where the folder was deleted.
            process = command.popen(
                argv[1:],
                stdin=-1 if fed else -3,
                bufsize=0,
                cwd=".",
                env=dict(environment),
                new_session=True,
            )
        except OSError as error:
            raise _not_started(argv[0], error) from error
        _running[process.pid] = process
        return process


def _not_started(path: str, error: OSError) -> EnvironmentProblem:
    message = f"{PurePath(path).name} cannot be started ({path}): {error.strerror or error}"
    # Errno 8 is "Exec format error": a binary of another architecture, or a script without #!.
    if isinstance(error, _NOT_STARTABLE) or error.errno == 8:
        return ToolMissing(message)
    return EnvironmentProblem(message)


def _signal_group(process: Any, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if _is_our_child(process):
            os.killpg(process.pid, number)


def _is_our_child(process: Any) -> bool:
    # Tests fake children with small numbers that are somebody else's processes.
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    except AttributeError:
        return process.returncode is None
    return True


def _nearest(timeout: float | None, cancel: Cancel | None) -> float | None:
    limits = (timeout, cancel.remaining() if cancel is not None else None)
    return min((limit for limit in limits if limit is not None), default=None)


def _bounded(seconds: float | None) -> float | None:
    if seconds is None or math.isinf(seconds):
        return None
    return min(max(0.0, seconds), threading.TIMEOUT_MAX)
