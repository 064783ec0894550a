"""The file for the failed lines of a run: never that of another list or destination."""

from __future__ import annotations

import errno
import glob
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from image_tools.errors import UsageError
from image_tools.imagelist.line import words
from image_tools.imagelist.origin import HEADER_BYTES, ListOrigin, origin_in
from image_tools.machine.trusted_paths import refuse_planted

_FIRST_NUMBER = 2
Line = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose failed list it is: a run over the list in the file `source`, which `origin` describes.

    `lines` are those of the run, as words, where they may be a part of that list, or of another one
    that is called the same; None where they are all of it.
    """

    origin: ListOrigin
    source: Path
    lines: frozenset[Line] | None = None


def chosen_place(asked: Path, owner: Owner) -> Path:
    """Return the file for the failed lines of `owner`: `asked`, or one beside it.

    A failed list of the same list and destination is used again, `asked` first; else `asked` if it
    is free, else the first free NAME-2, NAME-3 and so on.
    """
    if is_own(asked, owner):
        return asked
    for sibling in _siblings(asked):
        if is_own(sibling, owner):
            return sibling
    if is_free(asked):
        return asked
    number = _FIRST_NUMBER
    while not is_free(_numbered(asked, number)):
        number += 1
    return _numbered(asked, number)


def is_own(path: Path, owner: Owner) -> bool:
    """Return whether `owner` may replace the file at `path` without losing a line.

    The file holds failed lines of the same origin, or is the list itself.
    """
    if not path.is_file() or _is_planted(path):
        return False
    stated, is_input = None, same_file(path, owner.source)
    with suppress(OSError), path.open("rb") as file:
        stated = origin_in(file.read(HEADER_BYTES))
    if stated is None:
        return is_input
    return stated.is_of(owner.origin) and (is_input or _is_covered(path, owner.lines))


def _is_covered(path: Path, lines: frozenset[Line] | None) -> bool:
    if lines is None:
        return True
    try:
        left = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return {found for line in left if (found := tuple(words(line)))} <= lines


def is_free(path: Path) -> bool:
    """Return whether nothing is lost when `path` is written."""
    if _is_planted(path):
        return False
    return not path.exists() or (path.is_file() and path.stat().st_size == 0)


def same_file(one: Path, other: Path) -> bool:
    """Return whether both names lead to one file that is there."""
    with suppress(OSError):
        return one.samefile(other)
    return False


def check_place(path: Path) -> None:
    """Raise UsageError where no failed list can be written to `path`."""
    if path.is_dir():
        raise UsageError(f"--failed: {path} is a folder")
    if not path.parent.is_dir():
        raise UsageError(f"--failed: the folder {path.parent} does not exist")
    # The folder too: the file is removed and replaced there.
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise refused(path, os.strerror(errno.EACCES))


def refused(path: Path, why: str) -> UsageError:
    """Return the error about a failed list that cannot be written to `path`."""
    return UsageError(f"--failed: {path} cannot be written: {why}")


def _numbered(asked: Path, number: int) -> Path:
    return asked.with_name(f"{asked.stem}-{number}{asked.suffix}")


def _siblings(asked: Path) -> Iterator[Path]:
    start, end = re.escape(asked.stem), re.escape(asked.suffix)
    name = re.compile(f"{start}-([0-9]{{1,9}}){end}")
    near = asked.parent.glob(f"{glob.escape(asked.stem)}-*{glob.escape(asked.suffix)}")
    found = [(int(match[1]), path) for path in near if (match := name.fullmatch(path.name))]
    yield from (path for _, path in sorted(found))


def _is_planted(path: Path) -> bool:
    try:
        refuse_planted(path)
    except PermissionError:
        return True
    return False
