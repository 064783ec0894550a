"""The files beside an archive file, and who may write it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from image_tools.errors import AlreadyRunning
from image_tools.machine.trusted_paths import refuse_planted


def partial_path(path: Path) -> Path:
    """Where a new archive grows until it is whole."""
    return path.with_name(f"{path.name}.partial")


def journal_path(path: Path) -> Path:
    """Where it is said what has arrived in a file that grows."""
    return path.with_name(f"{path.name}.journal")


def saved_path(path: Path) -> Path:
    """Where the tail of a finished file is kept while blobs are added."""
    return path.with_name(f"{path.name}.tail")


def opened(path: Path, flags: int) -> int:
    """An open file, made as the user wants new files when `flags` say so. OSError as `open`."""
    if flags & os.O_CREAT:
        refuse_planted(path)
    return os.open(path, flags | os.O_CLOEXEC, 0o666)


def locked(path: Path, flags: int) -> int:
    """The same for a file that no other process of ours writes; AlreadyRunning when one does."""
    while True:
        descriptor = opened(path, flags)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise AlreadyRunning(f"another run writes {path}") from error
        if _is(path, descriptor):
            return descriptor
        os.close(descriptor)


def _is(path: Path, descriptor: int) -> bool:
    """Whether an open file still has this name: it may have been published before the lock."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
