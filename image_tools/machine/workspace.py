"""Private folders that are removed with their process, or by a later one if it was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from image_tools.errors import EnvironmentProblem
from image_tools.machine.files import PRIVATE, replace_file
from image_tools.machine.locks import try_lock

_PREFIX = "image-tools-"
_OWNER = "owner"
_ADVICE = "make room there, or name another folder in TMPDIR"


class Workspace:
    """The private folder of a run, for the tools' logins, policies and descriptors; a context."""

    def __init__(self, path: Path, owner: int) -> None:
        self.path = path
        self._owner = owner

    @classmethod
    def create(cls, environ: Mapping[str, str]) -> Workspace:
        """Return a new folder below TMPDIR; folders of killed runs are removed first.

        Raises EnvironmentProblem when it cannot be made.
        """
        base = Path(environ.get("TMPDIR") or tempfile.gettempdir()).absolute()
        with suppress(OSError):
            remove_orphans(base.glob(f"{_PREFIX}*"), _OWNER)
        try:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        except OSError as error:
            raise EnvironmentProblem(f"{base}: {error.strerror}", advice=_ADVICE) from error
        try:
            return cls(path, own_folder(path, _OWNER))
        except OSError as error:
            shutil.rmtree(path, ignore_errors=True)
            raise EnvironmentProblem(f"{path}: {error.strerror}", advice=_ADVICE) from error

    def write_private(self, name: str, content: bytes) -> Path:
        """Write a file that only its owner may read, whole or not at all, and return its path."""
        path = self.path / name
        try:
            replace_file(path, content, mode=PRIVATE, durable=False)
        except OSError as error:
            raise EnvironmentProblem(f"{path}: {error.strerror}", advice=_ADVICE) from error
        return path

    def close(self) -> None:
        """Remove the folder; what cannot be removed is left to a later run."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            os.close(self._owner)

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def own_folder(folder: Path, mark: str) -> int:
    """Lock the file `mark` in `folder` and return its descriptor, which is open while it is owned.

    Raises OSError when the file cannot be made.
    """
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
    """Remove this user's folders whose owner has died; raises OSError as iterating does."""
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
