"""Durable files: written whole or not at all, and what a disk refuses.

A file that has to survive a crash is written under a temporary name, flushed, renamed, and its
folder is flushed (rename(2), fsync(2)). A private file never has a mode that lets others read it.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from image_tools.errors import NO_SPACE, CopyFailed, DiskFull
from image_tools.machine.trusted_paths import refuse_planted

PRIVATE, PUBLIC = 0o600, 0o644
MIB = 1 << 20
_MOST_PIECES = 512


def write_file(path: Path, content: bytes, *, mode: int = PUBLIC) -> None:
    """Write `content` to `path` as `replace_file` does, through links; to a device as it is.

    Raise PermissionError for what another user planted there, and OSError when it fails.
    """
    refuse_planted(path)
    if is_device(path):
        path.write_bytes(content)
    else:
        replace_file(path.resolve(), content, mode=mode)


def replace_file(  # noqa: PLR0913 - one call with all that a file has to keep
    path: Path,
    content: bytes,
    *,
    mode: int = PUBLIC,
    temporary: Path | None = None,
    durable: bool = True,
    keep_owner: bool = False,
) -> None:
    """Replace the file `path`, or the link, by one with `content`: whole or not at all.

    `temporary` is the name it has until then, by default a random one beside `path`. A file that is
    not `durable` may be gone after a crash. With `keep_owner`, root leaves the file to its owner.
    Raises OSError when that fails; then the old file is unchanged.
    """
    descriptor, temporary = _new_file(path, temporary)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if keep_owner:
                _give_to_owner_of(path, descriptor)
            file.write(content)
            file.flush()
            if mode != PRIVATE:
                os.fchmod(descriptor, mode)
            if durable:
                os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def _new_file(path: Path, temporary: Path | None) -> tuple[int, Path]:
    """Return a new private file, open for writing, and its name."""
    if temporary is None:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        return descriptor, Path(name)
    refuse_planted(temporary)
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.open(temporary, flags, PRIVATE), temporary


def _give_to_owner_of(path: Path, descriptor: int) -> None:
    # With sudo, the file of a user must not become root's.
    if os.geteuid() == 0 and path.exists():
        found = path.stat()
        os.fchown(descriptor, found.st_uid, found.st_gid)


def is_device(path: Path) -> bool:
    """Return whether `path` is neither a file nor a folder: /dev/null must not be replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


def open_file(path: Path, flags: int) -> int:
    """Return a descriptor of `path`; a new file gets the mode of the user's umask.

    Raise OSError as `os.open` does, and where another user planted the file to write.
    """
    if flags & os.O_CREAT:
        refuse_planted(path)
    return os.open(path, flags | os.O_CLOEXEC, 0o666)


def sync_folder(path: Path) -> None:
    """Make the names in the folder `path` durable: those made, renamed or removed there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return  # A folder that can be written but not read cannot be flushed.
    try:
        # Some network file systems cannot; they have no cache of names to flush either.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush(descriptor: int) -> None:
    """Bring the content of an open file to the disk. Raise OSError when the disk refuses."""
    # macOS has no fdatasync.
    getattr(os, "fdatasync", os.fsync)(descriptor)


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of `content` to an open file. Raise OSError when the disk refuses."""
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def write_at(descriptor: int, pieces: Sequence[bytes | memoryview], offset: int) -> int:
    """Write all `pieces` at byte `offset` and return the offset behind them.

    Raise OSError when the disk refuses.
    """
    for first in range(0, len(pieces), _MOST_PIECES):
        group = pieces[first : first + _MOST_PIECES]
        written = os.pwritev(descriptor, group, offset)
        if written < sum(map(len, group)):
            written += _write_rest(descriptor, b"".join(group)[written:], offset + written)
        offset += written
    return offset


def _write_rest(descriptor: int, data: bytes, offset: int) -> int:
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], offset + done)
    return done


def check_room(descriptor: int, needed: int) -> None:
    """Raise OSError (ENOSPC) when the disk of an open file has no room for `needed` bytes."""
    room = os.fstatvfs(descriptor)
    if room.f_frsize * room.f_bfree < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def disk_errors(path: str, needed: int | None = None) -> Iterator[None]:
    """Turn what the system refuses inside into DiskFull, or CopyFailed for another reason.

    `path` is what is written, `needed` how many bytes are still to come.
    """
    try:
        yield
    except OSError as error:
        said = error.strerror or str(error)
        if error.errno not in NO_SPACE:
            raise CopyFailed(f"{path} cannot be written: {said}") from error
        more = "" if needed is None else f": {mib(needed)} more are needed"
        raise DiskFull(f"no room for {path}{more}, {_free(path)} ({said})") from error


def _free(path: str) -> str:
    try:
        return f"{mib(shutil.disk_usage(Path(path).parent).free)} are free"
    except OSError:
        return "nobody knows how much is free"


def mib(size: float) -> str:
    """Return a size in bytes for people: `1,234.5 MiB`."""
    return f"{size / MIB:,.1f} MiB"
