"""The lines that failed, in a list that can be fed back in."""

from __future__ import annotations

import errno
import glob
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from image_tools.errors import UsageError
from image_tools.imagelist.entry import ImageList
from image_tools.imagelist.line import words
from image_tools.imagelist.origin import (
    HEADER_BYTES,
    STANDARD_INPUT,
    ListOrigin,
    one_line,
    origin_in,
)
from image_tools.machine.files import replace_file, write_all
from image_tools.machine.trusted_paths import refuse_planted

_RUNNING = ".running"
_INCOMPLETE = ".incomplete"
_OPEN = re.compile(r"/dev/(stdout|stderr)|/(?:dev|proc/self)/fd/(\d+)")
_NUMBERS = {"stdout": 1, "stderr": 2}
Row = tuple[str, str]


def origin_of(images: ImageList, destination: str) -> ListOrigin:
    """Return what the failed list of a run over `images` to `destination` says of itself.

    The lines of a failed list keep the origin of the list it was made from.
    """
    if images.origin is not None:
        return ListOrigin(
            name=images.origin.name, place=images.origin.place, destination=destination
        )
    place = images.name
    if place != STANDARD_INPUT:
        # Links are not followed: a link to the list of the day is one list.
        place = os.path.normpath(Path.cwd() / place)
    return ListOrigin(name=images.name, place=place, destination=destination)


def lines_of(images: ImageList) -> frozenset[Line] | None:
    """Return the lines of `images` if they may be only a part of what its name stands for, else
    None.

    That is so for a failed list, and for lists without a name of their own: standard input, a pipe.
    Of typed lines the next ones are not known yet, so they count as the same list.
    """
    is_nameless = images.name == STANDARD_INPUT or _is_stream(images.name)
    if images.typed or (images.origin is None and not is_nameless):
        return None
    problems = (*images.problems, *images.skipped)
    raws = [*(entry.raw for entry in images.entries), *(problem.raw for problem in problems)]
    return frozenset(tuple(words(raw)) for raw in raws)


class FailedList:
    """The failed list `asked` of one run over the list called `name`.

    A stale one is removed at once; one of another list or destination than `origin` stays, as does
    one that has other lines than `lines`, unless that is None; then a file beside it is used.
    While the run lasts every failure is appended and is on disk when `add` returns: after a kill
    the file holds what had failed so far. `finish` puts it into list order.
    Where the failed list is itself the input, it stays as it is until `finish`, and the failures so
    far are in `PATH.running`; those of a killed run are dropped by the next, since the input still
    holds all of them. A link leads to the file that is replaced; what is no file (`/dev/stdout`, a
    FIFO) gets everything at the end. Lines that cannot be written there are logged; what lacks some
    of them at the end is called `PATH.incomplete`, so that it is not taken for the whole rest.
    Raise UsageError when the file cannot be written.
    """

    def __init__(
        self,
        asked: Path,
        name: str,
        origin: ListOrigin | None = None,
        lines: frozenset[Line] | None = None,
    ) -> None:
        _refuse_planted(asked)
        self._asked, self._source = asked, Path(name)
        self._origin = origin or ListOrigin(name=name)
        self._owner = Owner(origin=self._origin, source=self._source, lines=lines)
        self._is_device = _is_stream(asked)
        self._lock = threading.Lock()
        self._writable = True
        self._is_short = False
        self._begun = False
        self._told = 0
        self._use(asked)
        if self._is_device:
            return
        check_place(self._path)
        self._use(chosen_place(asked, self._owner))
        check_place(self._path)
        try:
            self._growing.unlink(missing_ok=True)
        except OSError as error:
            raise refused(self._growing, error.strerror or str(error)) from error

    def _use(self, shown: Path) -> None:
        self.shown = shown
        # The target of standard output may have no name in the file system.
        self._path = shown if self._is_device else shown.resolve()
        self._is_input = same_file(self._path, self._source)
        self._growing = self._path.with_name(self._path.name + _RUNNING)
        if not self._is_input:
            self._growing = self._path
        if shown != self._asked:
            logger.warning(
                "{} is kept: it belongs to another list or destination, or has lines that this list"
                " lacks; failed lines go to {}",
                self._asked,
                shown,
            )

    def add(self, raw: str, reason: str, *, durably: bool = True) -> None:
        """Append one line and its reason; not `durably`, a power cut before `finish` loses it."""
        if self._is_device:
            return
        with self._lock:
            problem = self._tried(lambda: self._append(_paragraph(raw, reason), durably))
            if problem and self._writable:
                logger.error("{}: cannot be written: {}", self._path, problem)
            self._writable = not problem
            self._is_short |= bool(problem)

    def finish(self, rows: Sequence[Row]) -> bool:
        """Hold exactly `rows`, line and reason in list order; without any the file is removed.

        False when that was impossible; then the log has the rows.
        """
        with self._lock:
            problem = self._tried(lambda: self._replace(rows) if rows else self._remove())
            if not problem and self._is_input:
                problem = self._tried(lambda: self._growing.unlink(missing_ok=True))
            if problem:
                self._tell(problem, rows)
                if self._is_short and self._begun and not self._is_input:
                    self._set_aside()
            return not problem

    @property
    def place(self) -> str:
        """Return the file's name for people and scripts; empty for a target that is not a file."""
        return "" if self._is_device else str(self.shown)

    def _append(self, text: str, durably: bool) -> None:
        self._settle()
        _append(self._growing, self._origin.header, text, durably)
        self._begun = True

    def _remove(self) -> None:
        # A file that was created there meanwhile belongs to another run.
        if self._begun or self._is_input:
            self._path.unlink(missing_ok=True)

    def _replace(self, rows: Sequence[Row]) -> None:
        text = self._origin.header + "".join(_paragraph(raw, reason) for raw, reason in rows)
        if self._is_device:
            _write_stream(self._path, text)
            return
        self._settle()
        replace_file(self._path, text.encode(errors="replace"))
        self._begun = True

    def _set_aside(self) -> None:
        name = self._path.with_name(self._path.name + _INCOMPLETE)
        with suppress(OSError):
            self._path.replace(name)
            self._begun = False
            logger.warning("{} holds only some of these lines", name)

    def _settle(self) -> None:
        """Choose another place where a run beside this one has taken it before our first line."""
        refuse_planted(self._path)
        is_ours = self._begun or is_free(self._path)
        if not is_ours and not is_own(self._path, self._owner):
            self._use(chosen_place(self._asked, self._owner))

    def _tell(self, problem: str, rows: Sequence[Row]) -> None:
        # Typed lines finish one by one: each is told once.
        lines = "".join(_paragraph(raw, reason) for raw, reason in rows[self._told :])
        self._told = len(rows)
        more = f"; the lines that are left:\n{self._origin.header}{lines}" if lines else ""
        logger.error("{}: cannot be written: {}{}", self._path, problem, more)

    def _tried(self, action: Callable[[], None]) -> str:
        try:
            action()
            return ""
        except OSError as error:
            return error.strerror or str(error)


def _paragraph(raw: str, reason: str) -> str:
    return f"# {one_line(reason)}\n{raw.strip()}\n"


def _append(path: Path, header: str, text: str, durably: bool) -> None:
    """Append `text`, behind `header` in a new file; what cannot be whole is taken back."""
    refuse_planted(path)
    # The way was resolved at the start: a link has been laid here since.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    try:
        before = os.fstat(descriptor).st_size
        try:
            content = text if before else header + text
            write_all(descriptor, content.encode(errors="replace"))
            if durably:
                os.fsync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, before)
                if not before:
                    path.unlink()
            raise
    finally:
        os.close(descriptor)


def _refuse_planted(path: Path) -> None:
    try:
        refuse_planted(path)
    except PermissionError as error:
        raise refused(path, f"{error.filename}: {error.strerror}") from error


def _is_stream(place: Path | str) -> bool:
    path = Path(place)
    is_other = path.exists() and not (path.is_file() or path.is_dir())
    return is_other or _OPEN.fullmatch(str(path)) is not None


def _write_stream(path: Path, text: str) -> None:
    match = _OPEN.fullmatch(str(path))
    # Opened a second time, a file behind standard output would be written over from its start.
    target = path if match is None else os.dup(_NUMBERS.get(match[1]) or int(match[2]))
    with open(target, "w", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - a number
        file.write(text)


_FIRST_NUMBER = 2
Line = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The run that a failed list belongs to: over the list `source`, which `origin` describes.

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
