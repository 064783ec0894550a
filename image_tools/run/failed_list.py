"""The lines that failed, in a list that can be fed back in."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from loguru import logger

from image_tools.errors import UsageError
from image_tools.process.planted import refuse_planted

_RUNNING = ".running"
_OPEN = re.compile(r"/dev/(stdout|stderr)|/(?:dev|proc/self)/fd/(\d+)")
_NUMBERS = {"stdout": 1, "stderr": 2}


class FailedList:
    """The failed list `path` of one run over the list called `name`.

    A stale one is removed at once. While the run lasts every failure is appended and is on disk
    when `add` returns: after a kill the file holds what had failed so far. `finish` puts it into
    list order. Where the failed list is itself the input, it stays as it is until `finish`, and
    the failures so far are in `PATH.running`; those of a killed run are dropped by the next, since
    the input still holds all of them. A link leads to the file that is replaced; what is no file
    (`/dev/stdout`, a FIFO) gets everything at the end.
    UsageError when the file cannot be written.
    """

    def __init__(self, path: Path, name: str) -> None:
        _refuse_planted(path)
        self._is_device = _is_stream(path)
        # What standard output leads to may have no name in the file system.
        self._path = path if self._is_device else path.resolve()
        self._is_input = _same_file(self._path, Path(name))
        self._growing = self._path.with_name(self._path.name + _RUNNING)
        if not self._is_input:
            self._growing = self._path
        self._name = name
        self._lock = threading.Lock()
        self._writable = True
        if self._is_device:
            return
        _check(self._path)
        try:
            self._growing.unlink(missing_ok=True)
        except OSError as error:
            raise _refused(self._growing, error.strerror or str(error)) from error

    def add(self, raw: str, reason: str, *, durably: bool = True) -> None:
        """Append one line and its reason; not `durably`, a power cut before `finish` loses it."""
        if self._is_device:
            return
        with self._lock:
            self._try(lambda: _append(self._growing, _paragraph(raw, reason), durably))

    def finish(self, rows: Sequence[tuple[str, str]]) -> None:
        """Hold exactly `rows`, line and reason in list order; without any the file is removed."""
        with self._lock:
            if rows:
                text = f"# failed lines of {self._name}, ready to be fed in again\n"
                text += "".join(_paragraph(raw, reason) for raw, reason in rows)
                done = self._try(lambda: self._replace(text))
            else:
                done = self._is_device or self._try(lambda: self._path.unlink(missing_ok=True))
            if done and self._is_input:
                self._try(lambda: self._growing.unlink(missing_ok=True))

    def _replace(self, text: str) -> None:
        if self._is_device:
            _write_stream(self._path, text)
            return
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _try(self, action: Callable[[], None]) -> bool:
        try:
            action()
            return True
        except OSError as error:
            if self._writable:
                logger.error("{}: cannot be written: {}", self._path, error.strerror)
            self._writable = False
            return False


def _paragraph(raw: str, reason: str) -> str:
    # The reason may be a registry's own words, and the file is looked at on a screen.
    printable = "".join(letter if letter.isprintable() else " " for letter in reason)
    return f"# {' '.join(printable.split())}\n{raw.strip()}\n"


def _append(path: Path, text: str, durably: bool) -> None:
    refuse_planted(path)
    # The way was resolved at the start: a link has been laid here since.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    with os.fdopen(descriptor, "a", encoding="utf-8", errors="replace") as file:
        file.write(text)
        file.flush()
        if durably:
            os.fsync(file.fileno())


def _refuse_planted(path: Path) -> None:
    try:
        refuse_planted(path)
    except PermissionError as error:
        raise _refused(path, f"{error.filename}: {error.strerror}") from error


def _is_stream(path: Path) -> bool:
    is_other = path.exists() and not (path.is_file() or path.is_dir())
    return is_other or _OPEN.fullmatch(str(path)) is not None


def _write_stream(path: Path, text: str) -> None:
    match = _OPEN.fullmatch(str(path))
    # Opened a second time, a file behind standard output would be written over from its start.
    target = path if match is None else os.dup(_NUMBERS.get(match[1]) or int(match[2]))
    with open(target, "w", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - a number
        file.write(text)


def _check(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"--failed: {path} is a folder")
    if not path.parent.is_dir():
        raise UsageError(f"--failed: the folder {path.parent} does not exist")
    # The folder too: the file is removed and replaced there.
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise _refused(path, os.strerror(errno.EACCES))


def _refused(path: Path, why: str) -> UsageError:
    return UsageError(f"--failed: {path} cannot be written: {why}")


def _same_file(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.samefile(other)
    return False
