"""Folders that belong to a living process, and are known for left behind when it is gone."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def own(folder: Path, mark: str) -> int:
    """An open descriptor: as long as it is open, `folder` is owned, by its file named `mark`.

    OSError when the file cannot be made.
    """
    new = folder / f"{mark}.new"
    owner = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Renamed when locked: a sweep that sees the name sees the lock.
        new.rename(folder / mark)
    except BaseException:
        os.close(owner)
        raise
    return owner


def sweep(folders: Iterable[Path], mark: str) -> None:
    """Remove those of this user that a process owned which is gone; OSError when unlistable."""
    for folder in folders:
        if _is_left_behind(folder, mark):
            shutil.rmtree(folder, ignore_errors=True)


def _is_left_behind(folder: Path, mark: str) -> bool:
    try:
        if folder.is_symlink() or folder.lstat().st_uid != os.geteuid():
            return False
        owner = os.open(folder / mark, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        with suppress(OSError):
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    finally:
        os.close(owner)
    return False
