"""The journal beside an archive: what has arrived since it was last published."""

from __future__ import annotations

import io
import os
import threading
import zlib
from contextlib import suppress
from pathlib import Path

from image_tools.errors import ArchiveDamaged
from image_tools.machine.files import flush, sync_folder, write_all
from image_tools.machine.trusted_paths import refuse_planted

_HEADER = b"image-tools journal 1\n"
_CHECK_DIGITS = 8
Entry = tuple[str, str]


def partial_path(path: Path) -> Path:
    """Return the name of a new archive until it is published."""
    return path.with_name(f"{path.name}.partial")


def journal_path(path: Path) -> Path:
    """Return the name of the journal that says what has arrived in `path`."""
    return path.with_name(f"{path.name}.journal")


def saved_path(path: Path) -> Path:
    """Return the name of the trailer of `path` that is kept while blobs are added."""
    return path.with_name(f"{path.name}.tail")


class Journal:
    """An append-only file of entries (kind, text), each durable when `append` returns.

    A line is the CRC-32 of what follows in 8 hex digits, a space, the kind, a space, and the text.
    A line that a crash cut off ends the journal; it and what follows are removed. Safe for many
    threads; two processes must not open one journal.
    """

    def __init__(self, path: Path, descriptor: int, entries: tuple[Entry, ...]) -> None:
        self.path, self.entries = path, entries
        self._descriptor = descriptor
        self._write_lock, self._sync_lock = threading.Lock(), threading.Lock()
        self._written = self._synced = 0

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Return the journal in `path`, made if missing; `entries` are those of an earlier run.

        Raise ArchiveDamaged when the file is no journal, OSError when it cannot be written.
        """
        refuse_planted(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            content = _read(descriptor)
            entries, length = _parsed(content, path)
            if length < len(content):
                os.ftruncate(descriptor, length)
            if not length:
                write_all(descriptor, _HEADER)
            flush(descriptor)
            sync_folder(path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor, entries)

    def append(self, kind: str, text: str) -> None:
        """Add an entry durably. `kind` is one word, `text` one line.

        Concurrent threads share one flush. Raise OSError when it cannot be written.
        """
        if " " in kind or "\n" in kind + text:
            raise ValueError(f"no entry of a journal: {kind!r} {text!r}")
        said = f"{kind} {text}\n".encode()
        with self._write_lock:
            self._add(b"%08x %b" % (zlib.crc32(said), said))
            self._written += 1
            mine = self._written
        with self._sync_lock:
            if self._synced < mine:
                reached = self._written
                flush(self._descriptor)
                self._synced = reached

    def _add(self, line: bytes) -> None:
        before = os.fstat(self._descriptor).st_size
        try:
            write_all(self._descriptor, line)
        except OSError:
            # After a partial line, the entries that follow would be lost.
            os.ftruncate(self._descriptor, before)
            raise

    def close(self) -> None:
        """Close the file; it stays for the next run."""
        with suppress(OSError):
            os.close(self._descriptor)

    def remove(self) -> None:
        """Close and remove the file: its entries are in the archive itself now."""
        self.close()
        self.path.unlink(missing_ok=True)
        sync_folder(self.path.parent)


def _parsed(content: bytes, path: Path) -> tuple[tuple[Entry, ...], int]:
    """Return the complete entries of `content`, and how many bytes they and the header take."""
    if not content.startswith(_HEADER):
        if _HEADER.startswith(content):  # killed while it was made
            return (), 0
        raise ArchiveDamaged(
            f"{path} is no journal of this program",
            advice="move it away if nobody needs it, and run again",
        )
    entries, length = list[Entry](), len(_HEADER)
    for line in io.BytesIO(content[length:]):
        entry = _entry(line)
        if entry is None:
            break
        entries.append(entry)
        length += len(line)
    return tuple(entries), length


def _entry(line: bytes) -> Entry | None:
    check, said = line[:_CHECK_DIGITS], line[_CHECK_DIGITS + 1 :]
    if not line.endswith(b"\n") or check != b"%08x" % zlib.crc32(said):
        return None
    try:
        kind, _, text = said[:-1].decode().partition(" ")
    except UnicodeDecodeError:
        return None
    return kind, text


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        return file.read()
