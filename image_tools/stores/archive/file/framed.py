"""An archive in one file: .tar, .tar.gz or .tar.zst, each of its blobs reached directly.

A new one grows as `FILE.partial`, with `FILE.partial.journal` beside it, and gets its name when it
is published. Where blobs are added to a finished one, its body stays untouched. Its tail is saved
as `FILE.tail` before it is overwritten, and `FILE.journal` says what has arrived. When `FILE.tail`
is taken away, the new state is the archive.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from image_tools.errors import NotFound, UsageError
from image_tools.oci.digest import Digest
from image_tools.stores.archive.beside import journal_path, locked, opened, partial_path, saved_path
from image_tools.stores.archive.content import Incoming
from image_tools.stores.archive.file.framing import Packing, header_frame, stored
from image_tools.stores.archive.file.growing import NOTE, Growth
from image_tools.stores.archive.file.incoming import incoming
from image_tools.stores.archive.file.journal import Journal, sync_folder
from image_tools.stores.archive.file.reading import FileSource, open_entry
from image_tools.stores.archive.file.tail import (
    Tail,
    adding_journal,
    read_tail,
    saved_bytes,
    saved_tail,
    tail_bytes,
)
from image_tools.stores.archive.file.toc import LAYOUT, FileEntry, Table, VolumeNumber, damaged
from image_tools.stores.archive.file.writing import refusals, write_at

_LAYOUT_CONTENT = b'{"imageLayoutVersion":"1.0.0"}'
_FORM = "form"


def recognise(path: Path) -> Packing | None:
    """The form of a whole archive of ours in `path`, by its content; None when it is none.

    ArchiveDamaged when it is one, and was changed. OSError when it cannot be opened.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    descriptor = opened(path, os.O_RDONLY)
    try:
        tail = _tail(path, FileSource(str(path), descriptor))
    finally:
        os.close(descriptor)
    return tail.form if tail else None


def _tail(path: Path, source: FileSource) -> Tail | None:
    """What `path` holds; as it was before a run that adds to it and has not ended."""
    return saved_tail(path, source) or read_tail(source, source.size())


class FramedContent:
    """The `Content` of an archive file. Made by `create`, `reading` and `adding`."""

    def __init__(self, path: Path, source: FileSource, form: Packing, tail: Tail | None) -> None:
        self.path, self.form, self.source = path, form, source
        self.volume: VolumeNumber | None = None
        self._growth: Growth | None = None
        self._noted = False
        self._lock = threading.RLock()
        self._take(tail)

    def _take(self, tail: Tail | None) -> None:
        self._tail, body = tail, tail.body.entries if tail else ()
        self._body = {entry.digest: entry for entry in body if entry.name != LAYOUT}
        if tail:
            self.volume = tail.body.volume

    @classmethod
    def create(cls, path: Path, form: Packing, volume: VolumeNumber | None = None) -> FramedContent:
        """A new archive that becomes `path` when published; goes on where a run was killed.

        `volume` says which of several files it is.

        AlreadyRunning when another process writes it; UsageError when it was begun in another form;
        DiskFull or CopyFailed when the disk refuses.
        """
        with refusals(str(path)):
            descriptor = locked(partial_path(path), os.O_RDWR | os.O_CREAT)
        content = cls(path, FileSource(str(path), descriptor), form, None)
        content.volume = volume
        return content._ready(begun=True)

    @classmethod
    def reading(cls, path: Path) -> FramedContent:
        """A finished archive, to read. ArchiveDamaged when it is not whole; OSError as `open`."""
        return cls._finished(path, opened(path, os.O_RDONLY))

    @classmethod
    def adding(cls, path: Path) -> FramedContent:
        """A finished archive, to add to; what an earlier run added before it was killed is there.

        Nothing is written before the first blob. ArchiveDamaged when it is not whole;
        AlreadyRunning when another process adds to it; OSError as `open`.
        """
        content = cls._finished(path, locked(path, os.O_RDWR))
        return content._ready(begun=saved_tail(path, content.source) is not None)

    @classmethod
    def _finished(cls, path: Path, descriptor: int) -> FramedContent:
        source = FileSource(str(path), descriptor)
        try:
            tail = _tail(path, source)
            if tail is None:
                raise damaged(str(path), "it does not end as an archive of this program")
            return cls(path, source, tail.form, tail)
        except BaseException:
            os.close(descriptor)
            raise

    def _ready(self, *, begun: bool) -> FramedContent:
        """Itself, with what an earlier run has begun."""
        try:
            if begun:
                self.growing()
        except BaseException:
            os.close(self.source.descriptor)
            raise
        return self

    @property
    def name(self) -> str:
        """See `Content`."""
        return str(self.path)

    def index(self) -> bytes:
        """See `Content`."""
        return (self._tail.index if self._tail else None) or b""

    @property
    def tail(self) -> Tail | None:
        """What ends the file, as it was last published."""
        return self._tail

    def files(self) -> tuple[FileEntry, ...]:
        """All entries before index.json, in the order of the file."""
        return self._tail.body.entries if self._tail else ()

    def entries(self) -> tuple[FileEntry, ...]:
        """All blobs, those that are not published yet at the end."""
        arrived = self._growth.entries if self._growth else {}
        return tuple({**self._body, **arrived.copy()}.values())

    def find(self, digest: Digest) -> FileEntry | None:
        """The entry of a blob, None when it is not here."""
        arrived = self._growth.entries if self._growth else {}
        return self._body.get(digest) or arrived.get(digest)

    def size(self, digest: Digest) -> int | None:
        """See `Content`."""
        entry = self.find(digest)
        return entry.size if entry else None

    def digests(self) -> Iterator[tuple[Digest, int]]:
        """See `Content`."""
        return iter([(entry.digest, entry.size) for entry in self.entries()])

    def open(self, digest: Digest) -> BinaryIO:
        """See `Content`."""
        entry = self.find(digest)
        if entry is None:
            raise NotFound(f"{self.name} has no blob {digest}")
        return open_entry(self.form, self.source, entry)

    def begin(self, size: int | None, *, compressible: bool) -> Incoming:
        """See `Content`."""
        return incoming(self.growing(), size, compressible=compressible)

    def note(self, line: str) -> None:
        """See `Content`."""
        growth = self.growing()
        with refusals(self.name):
            growth.journal.append(NOTE, line)
        self._noted = True

    def notes(self) -> tuple[str, ...]:
        """See `Content`."""
        found = self._growth.journal.entries if self._growth else ()
        return tuple(text for kind, text in found if kind == NOTE)

    def publish(self, index: bytes) -> None:
        """See `Content`. Nothing may be on its way in. Blobs that are open may have to move."""
        self.seal(index, None)

    def seal(self, index: bytes | None, volumes: bytes | None) -> None:
        """The same for a volume: with the list of all of them, or with neither of the two."""
        with self._lock, refusals(self.name):
            if self._growth is None and self._tail and self._tail.index == index:
                return
            growth = self.growing()
            entries = (*growth.body, *growth.close_holes())
            tail = Tail(self.form, Table(entries, self.volume), growth.end, index, volumes)
            self._end_file(tail_bytes(tail), tail.start)
            self._commit()
            growth.journal.remove()
            # In this order nobody who looks meanwhile misses a blob.
            self._take(read_tail(self.source, self.source.size()))
            self._growth, self._noted = None, False

    def _end_file(self, tail: bytes, start: int) -> None:
        end = write_at(self.source.descriptor, [tail], start)
        os.ftruncate(self.source.descriptor, end)
        os.fsync(self.source.descriptor)

    def _commit(self) -> None:
        """Make what was written the archive."""
        if self._tail is None:
            # What a killed run left beside the file that is replaced says nothing of this one.
            saved_path(self.path).unlink(missing_ok=True)
            journal_path(self.path).unlink(missing_ok=True)
            partial_path(self.path).rename(self.path)
        else:
            saved_path(self.path).unlink()
        sync_folder(self.path.parent)

    def close(self) -> None:
        """See `Content`. A file that nothing was added to is as it was before."""
        with self._lock:
            growth, self._growth = self._growth, None
            if growth is None:
                pass
            elif growth.entries or self._noted or growth.journal.entries[1:]:
                growth.journal.close()
            else:
                self._undo(growth)
            if self.source.descriptor >= 0:
                os.close(self.source.descriptor)
                self.source = FileSource(self.name, -1)

    def _undo(self, growth: Growth) -> None:
        with refusals(self.name):
            if self._tail is None:
                partial_path(self.path).unlink(missing_ok=True)
            else:
                self._end_file(saved_bytes(self.path), self._tail.start)
                saved_path(self.path).unlink()
            growth.journal.remove()

    def growing(self) -> Growth:
        """The growing part of the file, begun at the first need of it."""
        with self._lock:
            if self._growth is None:
                with refusals(self.name):
                    self._growth = self._grow(self._tail)
            return self._growth

    def _grow(self, tail: Tail | None) -> Growth:
        new = journal_path(partial_path(self.path))
        journal = adding_journal(self.path, self.source, tail) if tail else self._journal(new)
        try:
            self._check_form(journal)
            body = tail.body.entries if tail else (self._first_entry(),)
            growth = Growth(self.form, self.source, journal, body)
            os.ftruncate(self.source.descriptor, growth.end)
            os.fsync(self.source.descriptor)
        except BaseException:
            journal.close()
            raise
        return growth

    def _journal(self, path: Path) -> Journal:
        """The journal of a new file; not one whose file got its name just before a kill."""
        if not self.source.size():
            path.unlink(missing_ok=True)
        return Journal.open(path)

    def _check_form(self, journal: Journal) -> None:
        """The first line of the journal says the form, and which volume it is."""
        said = self.form.value
        if self.volume:
            said += f" {self.volume.set_id} {self.volume.number}"
        if not journal.entries:
            journal.append(_FORM, said)
        elif journal.entries[0] != (_FORM, said):
            raise UsageError(
                f"{self.name} was begun in another form than {self.form.value}",
                advice=f"finish it in that form, or remove {journal.path}",
            )

    def _first_entry(self) -> FileEntry:
        """The entry of `oci-layout`, with which every file begins."""
        size, digest = len(_LAYOUT_CONTENT), Digest.of(_LAYOUT_CONTENT)
        frame = header_frame(self.form, LAYOUT, size) + stored(self.form, _LAYOUT_CONTENT)
        write_at(self.source.descriptor, [frame], 0)
        return FileEntry(LAYOUT, 0, len(frame), size, digest, True)
