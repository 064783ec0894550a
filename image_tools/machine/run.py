"""Run a child and capture its output: exact environment, two pipes, a session of its own.

plumbum's `run(timeout=)` waits for every holder of the pipe and kills only the direct child. So the
child is opened with `popen`, emptied by threads, and stopped with its whole process group.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from image_tools.errors import EnvironmentProblem, ToolMissing
from image_tools.machine.cancel import Cancel
from image_tools.machine.child import STDERR_BOUND, ChildProcess, End, running, signal_group

_NOT_STARTABLE = (FileNotFoundError, PermissionError, NotADirectoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedRun:
    """The result of a child; `returncode` is negative for the signal that ended it.

    `stdout` holds the first 16 MiB, and is `truncated` if there was more; `stderr` the last 64 KiB.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes = b""
    stderr: str = ""
    seconds: float = 0.0
    timed_out: bool = False
    cancelled: bool = False
    truncated: bool = False


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
    """Return what the child `argv` printed and how it ended; no exit code is an exception.

    `argv[0]` is an absolute path. The child sees `environment` and nothing else. After `timeout`
    seconds, at `cancel`'s deadline, or when `cancel` is set its whole process group is stopped:
    SIGTERM, two seconds later SIGKILL. `on_line` gets every line of both outputs when it comes, one
    at a time, in other threads that share the caller's context variables. Raise ToolMissing when
    this file cannot be started, EnvironmentProblem when no process can.
    """
    begun = time.monotonic()
    process = _start(argv, environment, stdin is not None, cancel)
    if process is None:
        return CompletedRun(argv=argv, returncode=-signal.SIGTERM, cancelled=True)
    child = ChildProcess(process, on_line)
    try:
        child.start_threads(stdin)
        end = child.wait(_nearest(timeout, cancel), cancel)
        if end is not End.EXITED:
            child.stop()
    finally:
        code = child.reap()
    for pump in (child.stdout, child.stderr):
        if pump.failure is not None:
            raise pump.failure
    return CompletedRun(
        argv=argv,
        returncode=code,
        stdout=bytes(child.stdout.kept),
        stderr=child.stderr.kept[-STDERR_BOUND:].decode(errors="replace"),
        seconds=time.monotonic() - begun,
        timed_out=end is End.TIMED_OUT,
        cancelled=end is End.CANCELLED,
        truncated=child.stdout.seen > len(child.stdout.kept),
    )


def kill_all(*, for_good: bool = False) -> None:
    """Kill the groups of all running children at once; a signal handler may call it.

    `for_good` is for a process that ends now: no other thread can start a child any more.
    """
    # A start in another thread ends in milliseconds; one in this thread cannot be awaited.
    held = _starting.acquire(timeout=0.5)
    for process in tuple(running.values()):
        signal_group(process, signal.SIGKILL)
    if held and not for_good:
        _starting.release()


def _start(
    argv: tuple[str, ...], environment: Mapping[str, str], fed: bool, cancel: Cancel | None
) -> Any:
    from image_tools.machine.popen import opened

    with _starting:
        if cancel is not None and cancel.is_set():
            return None
        try:
            process = opened(argv, environment, fed)
        except OSError as error:
            raise _not_started(argv[0], error) from error
        running[process.pid] = process
        return process


def _not_started(path: str, error: OSError) -> EnvironmentProblem:
    message = f"{PurePath(path).name} cannot be started ({path}): {error.strerror or error}"
    # Errno 8 is "Exec format error": a binary of another architecture, or a script without #!.
    if isinstance(error, _NOT_STARTABLE) or error.errno == 8:
        return ToolMissing(message)
    return EnvironmentProblem(message)


def _nearest(timeout: float | None, cancel: Cancel | None) -> float | None:
    limits = (timeout, cancel.remaining() if cancel is not None else None)
    return min((limit for limit in limits if limit is not None), default=None)
