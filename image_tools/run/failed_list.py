"""The lines that failed, in a list that can be fed back in."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from loguru import logger

from image_tools.errors import UsageError

_RUNNING = ".running"


class FailedList:
    """The failed list `path` of one run over the list called `name`.

    A stale one is removed at once. While the run lasts every failure is appended and is on disk
    when `add` returns: after a kill the file holds what had failed so far. `finish` puts it into
    list order. Where the failed list is itself the input, it stays as it is until `finish`, and
    the failures so far are in `PATH.running`.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path.resolve()
        self._is_input = _same_file(self._path, Path(name))
        self._growing = self._path.with_name(self._path.name + _RUNNING)
        if not self._is_input:
            self._growing = self._path
        self._name = name
        self._lock = threading.Lock()
        self._writable = True
        _check(self._path)
        self._is_device = self._path.exists() and not self._path.is_file()
        if not self._is_device:
            self._growing.unlink(missing_ok=True)

    def add(self, raw: str, reason: str) -> None:
        """Append one line and its reason, durably."""
        if self._is_device:
            return
        with self._lock:
            self._try(lambda: _append(self._growing, _paragraph(raw, reason)))

    def finish(self, rows: Sequence[tuple[str, str]]) -> None:
        """Hold exactly `rows`, line and reason in list order; without any the file is removed."""
        with self._lock:
            if rows:
                text = f"# failed lines of {self._name}, ready to be fed in again\n"
                text += "".join(_paragraph(raw, reason) for raw, reason in rows)
                self._try(lambda: self._replace(text))
            elif not self._is_device:
                self._path.unlink(missing_ok=True)
            if self._growing != self._path:
                self._growing.unlink(missing_ok=True)

    def _replace(self, text: str) -> None:
        if self._is_device:
            self._path.write_text(text)
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

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:
            if self._writable:
                logger.error("{}: cannot be written: {}", self._path, error.strerror)
            self._writable = False


def _paragraph(raw: str, reason: str) -> str:
    return f"# {' '.join(reason.split())}\n{raw.strip()}\n"


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8", errors="replace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _check(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"--failed: {path} is a folder")
    if not path.parent.is_dir():
        raise UsageError(f"--failed: the folder {path.parent} does not exist")
    if not os.access(path.parent if not path.exists() else path, os.W_OK):
        raise UsageError(f"--failed: {path} cannot be written")


def _same_file(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.samefile(other)
    return False
