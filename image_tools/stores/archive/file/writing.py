"""Writing to a disk that may refuse."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from image_tools.errors import NO_SPACE, CopyFailed, DiskFull

_MOST_PIECES = 512
_MIB = 1 << 20


@contextmanager
def refusals(path: str, needed: int | None = None) -> Iterator[None]:
    """Inside, what the system refuses is DiskFull, or CopyFailed for another reason.

    `path` is what is written, `needed` how many bytes are still to come.
    """
    try:
        yield
    except OSError as error:
        said = error.strerror or str(error)
        if error.errno not in NO_SPACE:
            raise CopyFailed(f"{path} cannot be written: {said}") from error
        more = "" if needed is None else f": {_mib(needed)} more are needed"
        raise DiskFull(f"no room for {path}{more}, {_free(path)} ({said})") from error


def _free(path: str) -> str:
    try:
        return f"{_mib(shutil.disk_usage(Path(path).parent).free)} are free"
    except OSError:
        return "nobody knows how much is free"


def _mib(size: int) -> str:
    return f"{size / _MIB:,.1f} MiB"


def check_room(descriptor: int, needed: int) -> None:
    """OSError (ENOSPC) when the disk of an open file plainly has no room for `needed` bytes."""
    room = os.fstatvfs(descriptor)
    if room.f_frsize * room.f_bfree < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_at(descriptor: int, pieces: Sequence[bytes | memoryview], offset: int) -> int:
    """Write all pieces, one behind the other; the place behind them. OSError when refused."""
    for first in range(0, len(pieces), _MOST_PIECES):
        group = pieces[first : first + _MOST_PIECES]
        written = os.pwritev(descriptor, group, offset)
        if written < sum(map(len, group)):
            written += _write_rest(descriptor, b"".join(group)[written:], offset + written)
        offset += written
    return offset


def flush(descriptor: int) -> None:
    """Bring the content of an open file to the disk. OSError when refused."""
    # macOS has no fdatasync.
    getattr(os, "fdatasync", os.fsync)(descriptor)


def _write_rest(descriptor: int, data: bytes, offset: int) -> int:
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], offset + done)
    return done
