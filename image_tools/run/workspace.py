"""The private folder of a run: logins, policies and descriptors for the tools, gone afterwards."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from image_tools.errors import EnvironmentProblem

_PREFIX = "image-tools-"
_OWNER = "owner"
_ADVICE = "make room there, or name another folder in TMPDIR"


class Workspace:
    """A folder only its owner may enter; as a context it is removed at the end."""

    def __init__(self, path: Path, owner: int) -> None:
        self.path = path
        self._owner = owner

    @classmethod
    def create(cls, environ: Mapping[str, str]) -> Workspace:
        """A new one below TMPDIR, after removing those of runs that were killed.

        EnvironmentProblem when the folder cannot be made.
        """
        base = Path(environ.get("TMPDIR") or tempfile.gettempdir()).absolute()
        _sweep(base)
        try:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        except OSError as error:
            raise EnvironmentProblem(f"{base}: {error.strerror}", advice=_ADVICE) from error
        try:
            return cls(path, _owned(path))
        except OSError as error:
            shutil.rmtree(path, ignore_errors=True)
            raise EnvironmentProblem(f"{path}: {error.strerror}", advice=_ADVICE) from error

    def write_private(self, name: str, content: bytes) -> Path:
        """The path of a file with `content`, all of it or none, that only the owner may read."""
        path = self.path / name
        try:
            # mkstemp gives a file of mode 0600.
            descriptor, temporary = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(temporary).replace(path)
        except OSError as error:
            raise EnvironmentProblem(f"{path}: {error.strerror}", advice=_ADVICE) from error
        return path

    def close(self) -> None:
        """Remove everything; what cannot be removed is left to a later run."""
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


def _owned(path: Path) -> int:
    """Mark the folder as that of a living run, as long as the given descriptor is open."""
    new = path / f"{_OWNER}.new"
    owner = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Renamed when locked: a sweep that sees the name sees the lock.
        new.rename(path / _OWNER)
    except BaseException:
        os.close(owner)
        raise
    return owner


def _sweep(base: Path) -> None:
    """Remove the folders of dead runs of this user."""
    with suppress(OSError):
        for path in base.glob(f"{_PREFIX}*"):
            if _is_dead(path):
                shutil.rmtree(path, ignore_errors=True)


def _is_dead(path: Path) -> bool:
    try:
        if path.is_symlink() or path.lstat().st_uid != os.geteuid():
            return False
        owner = os.open(path / _OWNER, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(owner)
    return True
