"""Private folders that are removed with their process, or by a later one if it was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from image_tools.errors import EnvironmentProblem
from image_tools.machine.files import PRIVATE, replace_file
from image_tools.machine.locks import try_lock

F = TypeVar("F", bound="OwnedFolder")
_PREFIX = "image-tools-"
_OWNER = "owner"
_ADVICE = "make room there, or name another folder in TMPDIR"


class OwnedFolder:
    """A folder only its owner may enter; a file in it is locked as long as this process lives."""

    def __init__(self, path: Path, owner: int) -> None:
        self.path, self._owner = path, owner

    @classmethod
    def make(cls: type[F], base: Path, prefix: str, mark: str) -> F:
        """Return a new folder in `base`, owned by its file `mark`. Raise OSError."""
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
        try:
            return cls(path, _owner_of(path, mark))
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise

    def close(self) -> None:
        """Remove the folder; what cannot be removed is left to a later run."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.disown()

    def disown(self) -> None:
        """Give the folder up as it is."""
        with suppress(OSError):
            os.close(self._owner)
        self._owner = -1


class Workspace(OwnedFolder):
    """The private folder of a run, for the tools' logins, policies and descriptors; a context."""

    @classmethod
    def create(cls, environ: Mapping[str, str]) -> Workspace:
        """Return a new folder below TMPDIR; folders of killed runs are removed first.

        Raise EnvironmentProblem when it cannot be made.
        """
        base = Path(environ.get("TMPDIR") or tempfile.gettempdir()).absolute()
        with suppress(OSError):
            remove_orphans(base.glob(f"{_PREFIX}*"), _OWNER)
        try:
            return cls.make(base, _PREFIX, _OWNER)
        except OSError as error:
            raise EnvironmentProblem(f"{base}: {error.strerror}", advice=_ADVICE) from error

    def write_private(self, name: str, content: bytes) -> Path:
        """Write a file that only its owner may read, whole or not at all, and return its path."""
        path = self.path / name
        try:
            replace_file(path, content, mode=PRIVATE, durable=False)
        except OSError as error:
            raise EnvironmentProblem(f"{path}: {error.strerror}", advice=_ADVICE) from error
        return path

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _owner_of(folder: Path, mark: str) -> int:
    new = folder / f"{mark}.new"
    owner = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try_lock(owner)
        # Renamed once it is locked: a sweep that sees the name sees the lock.
        new.rename(folder / mark)
    except BaseException:
        os.close(owner)
        raise
    return owner


def remove_orphans(folders: Iterable[Path], mark: str) -> None:
    """Remove this user's folders whose owner has died; raise OSError as iterating does."""
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
        return try_lock(owner)
    except OSError:
        return False
    finally:
        os.close(owner)
