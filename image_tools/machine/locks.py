"""Locks between processes (flock(2)), and the one loop that waits for them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from loguru import logger

from image_tools.errors import AlreadyRunning, EnvironmentProblem
from image_tools.machine.cancel import Cancel
from image_tools.machine.files import open_file
from image_tools.machine.trusted_paths import refuse_planted

T = TypeVar("T")
POLL_SECONDS = 0.25


def try_lock(descriptor: int) -> bool:
    """Lock an open file and return whether that succeeded: False while another process has it.

    Raise OSError on a file system without locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Keep other processes out of a block with the same lock file; wait for them first."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def locked_file(path: Path, flags: int) -> int:
    """Return a locked descriptor of `path`, as `open_file` opens it.

    Raise AlreadyRunning when another process has locked it.
    """
    while True:
        descriptor = open_file(path, flags)
        try:
            if not try_lock(descriptor):
                raise AlreadyRunning(f"another run writes {path}")
            if _is_named(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_named(path: Path, descriptor: int) -> bool:
    """Return whether an open file still has this name: it may be renamed before it is locked."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def wait_for_lock(
    attempt: Callable[[], T],
    wait: float | None,
    cancel: Cancel,
    *,
    poll: float = POLL_SECONDS,
    on_wait: Callable[[AlreadyRunning], object] | None = None,
) -> T:
    """Return the result of `attempt`, which is repeated while it raises AlreadyRunning.

    Waits up to `wait` seconds (infinity: without limit), None not at all, and looks every `poll`
    seconds. `on_wait` gets the first failure that is waited for. Raise AlreadyRunning when the
    time is over or `cancel` is set.
    """
    limit = time.monotonic() + (wait or 0.0)
    announced = False
    while True:
        try:
            return attempt()
        except AlreadyRunning as error:
            if wait is None or time.monotonic() >= limit or cancel.is_set():
                raise
            if on_wait is not None and not announced:
                on_wait(error)
            announced = True
        cancel.wait(min(poll, limit - time.monotonic()))


def lock_path(state: Path, destination: str) -> Path:
    """Return the lock file for `destination` beside the state file."""
    name = hashlib.sha256(destination.encode()).hexdigest()[:16]
    return state.with_name(f"{state.name}.{name}.lock")


class RunLock:
    """The lock at `path` of one run for a state file and a destination.

    `destination` is what messages call it.
    """

    def __init__(self, path: Path, destination: str) -> None:
        self._path, self._destination = path, destination
        self._descriptor: int | None = None

    def acquire(self, wait: float | None, *, cancel: Cancel) -> None:
        """Take the lock; waits up to `wait` seconds (infinity: without limit), None not at all.

        Raise AlreadyRunning when another process keeps it, EnvironmentProblem when the lock file
        cannot be made.
        """
        descriptor = self._open()

        def announce(_error: AlreadyRunning) -> None:
            logger.info("waiting for another run on {}{}", self._destination, _owner(descriptor))

        try:
            wait_for_lock(lambda: self._take(descriptor), wait, cancel, on_wait=announce)
        except BaseException:
            os.close(descriptor)
            raise
        # The number only helps people: a full disk is no reason not to run.
        with suppress(OSError):
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock; the file stays, or two processes could lock two files of one name."""
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

    def _take(self, descriptor: int) -> None:
        try:
            taken = try_lock(descriptor)
        except OSError as error:
            raise self._unusable(error) from error
        if not taken:
            owner = _owner(descriptor)
            raise AlreadyRunning(
                f"another run works on {self._destination} with the same state{owner}",
                advice="wait for it with --wait-lock, or give this run its own --state",
            )

    def _unusable(self, error: OSError) -> EnvironmentProblem:
        advice = "give another --state, or --no-state"
        return EnvironmentProblem(f"{self._path}: {error.strerror}", advice=advice)


def _owner(descriptor: int) -> str:
    number = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return f" (process {number})" if number.isdigit() else ""
