"""One run at a time for the same state file and destination registry."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from loguru import logger

from image_tools.errors import AlreadyRunning, EnvironmentProblem
from image_tools.machine.cancel import Cancel
from image_tools.machine.trusted_paths import refuse_planted

_POLL_SECONDS = 0.25


def lock_path(state: Path, destination: str) -> Path:
    """The lock file for `destination` beside the state file."""
    name = hashlib.sha256(destination.encode()).hexdigest()[:16]
    return state.with_name(f"{state.name}.{name}.lock")


class RunLock:
    """The lock at `path`; `destination` is what people call what it guards."""

    def __init__(self, path: Path, destination: str) -> None:
        self._path, self._destination = path, destination
        self._descriptor: int | None = None

    def acquire(self, wait: float | None, *, cancel: Cancel) -> None:
        """Take the lock; waits up to `wait` seconds (infinity: for ever), None not at all.

        AlreadyRunning when another process keeps it. EnvironmentProblem when there can be no file.
        """
        descriptor = self._open()
        try:
            self._take(descriptor, wait, cancel)
        except BaseException:
            os.close(descriptor)
            raise
        # The number only helps people: a full disk is no reason not to run.
        with suppress(OSError):
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        self._descriptor = descriptor

    def _take(self, descriptor: int, wait: float | None, cancel: Cancel) -> None:
        limit = time.monotonic() + (wait or 0.0)
        announced = False
        while not self._taken(descriptor):
            if wait is None or time.monotonic() >= limit or cancel.is_set():
                owner = _owner(descriptor)
                raise AlreadyRunning(
                    f"another run works on {self._destination} with the same state{owner}",
                    advice="wait for it with --wait-lock, or give this run its own --state",
                )
            if not announced:
                logger.info(
                    "waiting for another run on {}{}", self._destination, _owner(descriptor)
                )
                announced = True
            cancel.wait(min(_POLL_SECONDS, limit - time.monotonic()))

    def release(self) -> None:
        """Let others in; the file stays, or two could hold two files of one name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            refuse_planted(self._path)
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error

    def _taken(self, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:  # a file system without locks
            raise self._unusable(error) from error
        return True

    def _unusable(self, error: OSError) -> EnvironmentProblem:
        advice = "give another --state, or --no-state"
        return EnvironmentProblem(f"{self._path}: {error.strerror}", advice=advice)


def _owner(descriptor: int) -> str:
    number = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return f" (process {number})" if number.isdigit() else ""
