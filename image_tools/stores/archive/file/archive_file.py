"""An archive in one file: .tar, .tar.gz or .tar.zst, each of its blobs reached directly.

A new one grows as `FILE.partial`, with `FILE.partial.journal` beside it, and gets its name when it
is published. Where blobs are added to a finished one, its body stays untouched. Its trailer is kept
in `FILE.tail` before it is overwritten, and `FILE.journal` says what has arrived. When `FILE.tail`
is removed, the new state is the archive.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from image_tools.errors import IntegrityError, NotFound, UsageError
from image_tools.machine.files import disk_errors, open_file, sync_folder, write_at
from image_tools.machine.locks import locked_file
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import LAYOUT, BlobWriter, Form, damaged
from image_tools.stores.archive.file.append_area import NOTE, AppendArea
from image_tools.stores.archive.file.blob_writers import blob_writer
from image_tools.stores.archive.file.framing import header_frame, header_length, padded, stored
from image_tools.stores.archive.file.journal import (
    Journal,
    journal_path,
    partial_path,
    saved_path,
)
from image_tools.stores.archive.file.reading import FileSource, open_entry, unpacked
from image_tools.stores.archive.file.recovery import (
    adding_journal,
    current_trailer,
    saved_bytes,
    saved_trailer,
)
from image_tools.stores.archive.file.toc import LAYOUT_NAME, FileEntry, Table, VolumeNumber
from image_tools.stores.archive.file.trailer import (
    Trailer,
    has_entry,
    read_trailer,
    trailer_bytes,
)
from image_tools.stores.archive.verify import difference

_FORM = "form"


def file_form(path: Path) -> Form | None:
    """Return the form of a whole archive of this program in `path`, None when it is none.

    Raise ArchiveDamaged when it is one that was changed, OSError when it cannot be opened.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    descriptor = open_file(path, os.O_RDONLY)
    try:
        trailer = current_trailer(path, FileSource(str(path), descriptor))
    finally:
        os.close(descriptor)
    return trailer.form if trailer else None


class FileContent:
    """The `Content` of an archive file. Made by `create`, `reading` and `adding`."""

    def __init__(self, path: Path, source: FileSource, form: Form, trailer: Trailer | None) -> None:
        self.path, self.form, self.source = path, form, source
        self.volume: VolumeNumber | None = None
        self._area: AppendArea | None = None
        self._noted = False
        self._lock = threading.RLock()
        self._take(trailer)

    def _take(self, trailer: Trailer | None) -> None:
        self._trailer, body = trailer, trailer.body.entries if trailer else ()
        self._body = {entry.digest: entry for entry in body if entry.name != LAYOUT_NAME}
        if trailer:
            self.volume = trailer.body.volume

    @classmethod
    def create(cls, path: Path, form: Form, volume: VolumeNumber | None = None) -> FileContent:
        """Return a new archive that becomes `path` when published; continues a killed run's.

        `volume` says which of several files it is. Raise AlreadyRunning when another process
        writes it, UsageError when it was begun in another form, DiskFull or CopyFailed when the
        disk refuses.
        """
        with disk_errors(str(path)):
            descriptor = locked_file(partial_path(path), os.O_RDWR | os.O_CREAT)
        content = cls(path, FileSource(str(path), descriptor), form, None)
        content.volume = volume
        return content._ready(begun=True)

    @classmethod
    def reading(cls, path: Path) -> FileContent:
        """Return a finished archive, to read. Raise ArchiveDamaged, and OSError as `open`."""
        return cls._finished(path, open_file(path, os.O_RDONLY))

    @classmethod
    def adding(cls, path: Path) -> FileContent:
        """Return a finished archive, to add to; with what a killed run had added to it.

        Nothing is written before the first blob. Raise ArchiveDamaged when it is not whole,
        AlreadyRunning when another process adds to it, OSError as `open`.
        """
        content = cls._finished(path, locked_file(path, os.O_RDWR))
        return content._ready(begun=saved_trailer(path, content.source) is not None)

    @classmethod
    def _finished(cls, path: Path, descriptor: int) -> FileContent:
        source = FileSource(str(path), descriptor)
        try:
            trailer = current_trailer(path, source)
            if trailer is None:
                raise damaged(str(path), "it does not end as an archive of this program")
            return cls(path, source, trailer.form, trailer)
        except BaseException:
            os.close(descriptor)
            raise

    def _ready(self, *, begun: bool) -> FileContent:
        """Return this content, with what an earlier run has begun."""
        try:
            if begun:
                self.append_area()
        except BaseException:
            os.close(self.source.descriptor)
            raise
        return self

    @property
    def name(self) -> str:
        return str(self.path)

    def index(self) -> bytes:
        return (self._trailer.index if self._trailer else None) or b""

    @property
    def trailer(self) -> Trailer | None:
        """Return what ends the file, as last published."""
        return self._trailer

    @property
    def files(self) -> tuple[FileContent, ...]:
        """Return the files of the archive: this one."""
        return (self,)

    def body(self) -> tuple[FileEntry, ...]:
        """Return all entries before index.json, in the order of the file."""
        return self._trailer.body.entries if self._trailer else ()

    def entries(self) -> tuple[FileEntry, ...]:
        """Return all blobs; those that are not published yet are last."""
        arrived = self._area.entries if self._area else {}
        return tuple({**self._body, **arrived.copy()}.values())

    def find(self, digest: Digest) -> FileEntry | None:
        """Return the entry of a blob, None when it is not in the file."""
        arrived = self._area.entries if self._area else {}
        return self._body.get(digest) or arrived.get(digest)

    def size(self, digest: Digest) -> int | None:
        entry = self.find(digest)
        return entry.size if entry else None

    def digests(self) -> Iterator[tuple[Digest, int]]:
        return iter([(entry.digest, entry.size) for entry in self.entries()])

    def open(self, digest: Digest) -> BinaryIO:
        entry = self.find(digest)
        if entry is None:
            raise NotFound(f"{self.name} has no blob {digest}")
        return open_entry(self.form, self.source, entry)

    def verify(self) -> Iterator[tuple[Digest, str | None]]:
        for entry in self.body():
            yield entry.digest, self.entry_problem(entry)

    def entry_problem(self, entry: FileEntry) -> str | None:
        """Return what is wrong with an entry, None when an ordinary tar would unpack it right."""
        try:
            if not has_entry(self.form, self.source, entry):
                return "its tar header is not what it was"
            start = entry.offset + header_length(self.form)
            chunks = unpacked(self.form, self.source, start, entry.end)
            return difference(chunks, entry.digest, entry.size, padded(entry.size))
        except IntegrityError as error:
            return str(error)

    def begin(self, size: int | None, *, compressible: bool) -> BlobWriter:
        return blob_writer(self.append_area(), size, compressible=compressible)

    def note(self, line: str) -> None:
        area = self.append_area()
        with disk_errors(self.name):
            area.journal.append(NOTE, line)
        self._noted = True

    def notes(self) -> tuple[str, ...]:
        found = self._area.journal.entries if self._area else ()
        return tuple(text for kind, text in found if kind == NOTE)

    def publish(self, index: bytes) -> None:
        """See `Content`. No blob may be on its way; blobs that are open may be moved."""
        self.seal(index, None)

    def seal(self, index: bytes | None, volumes: bytes | None) -> None:
        """Finish a file or a volume: with an index and the list of all volumes, or neither."""
        with self._lock, disk_errors(self.name):
            if self._area is None and self._trailer and self._trailer.index == index:
                return
            area = self.append_area()
            entries = (*area.body, *area.close_holes())
            trailer = Trailer(self.form, Table(entries, self.volume), area.end, index, volumes)
            self._end_file(trailer_bytes(trailer), trailer.start)
            self._commit()
            area.journal.remove()
            # In this order no concurrent reader misses a blob.
            self._take(read_trailer(self.source, self.source.size()))
            self._area, self._noted = None, False

    def _end_file(self, trailer: bytes, start: int) -> None:
        end = write_at(self.source.descriptor, [trailer], start)
        os.ftruncate(self.source.descriptor, end)
        os.fsync(self.source.descriptor)

    def _commit(self) -> None:
        """Make what was written the archive."""
        if self._trailer is None:
            # Leftovers of a killed run next to the replaced file do not belong to this one.
            saved_path(self.path).unlink(missing_ok=True)
            journal_path(self.path).unlink(missing_ok=True)
            partial_path(self.path).rename(self.path)
        else:
            saved_path(self.path).unlink()
        sync_folder(self.path.parent)

    def close(self) -> None:
        """See `Content`. A file to which nothing was added is as it was before."""
        with self._lock:
            area, self._area = self._area, None
            if area is None:
                pass
            elif area.entries or self._noted or area.journal.entries[1:]:
                area.journal.close()
            else:
                self._undo(area)
            if self.source.descriptor >= 0:
                os.close(self.source.descriptor)
                self.source = FileSource(self.name, -1)

    def _undo(self, area: AppendArea) -> None:
        with disk_errors(self.name):
            if self._trailer is None:
                partial_path(self.path).unlink(missing_ok=True)
            else:
                self._end_file(saved_bytes(self.path), self._trailer.start)
                saved_path(self.path).unlink()
            area.journal.remove()

    def append_area(self) -> AppendArea:
        """Return the part of the file that grows, which begins when it is first needed."""
        with self._lock:
            if self._area is None:
                with disk_errors(self.name):
                    self._area = self._begin_area(self._trailer)
            return self._area

    def _begin_area(self, trailer: Trailer | None) -> AppendArea:
        new = journal_path(partial_path(self.path))
        journal = adding_journal(self.path, self.source, trailer) if trailer else self._journal(new)
        try:
            self._check_form(journal)
            body = trailer.body.entries if trailer else (self._first_entry(),)
            area = AppendArea(self.form, self.source, journal, body)
            os.ftruncate(self.source.descriptor, area.end)
            os.fsync(self.source.descriptor)
        except BaseException:
            journal.close()
            raise
        return area

    def _journal(self, path: Path) -> Journal:
        """Return the journal of a new file; not one whose file was published before a kill."""
        if not self.source.size():
            path.unlink(missing_ok=True)
        return Journal.open(path)

    def _check_form(self, journal: Journal) -> None:
        """Check the first line of the journal, which says the form and the volume."""
        said = self.form.suffix
        if self.volume:
            said += f" {self.volume.set_id} {self.volume.number}"
        if not journal.entries:
            journal.append(_FORM, said)
        elif journal.entries[0] != (_FORM, said):
            raise UsageError(
                f"{self.name} was begun in another form than {self.form.suffix}",
                advice=f"finish it in that form, or remove {journal.path}",
            )

    def _first_entry(self) -> FileEntry:
        """Write `oci-layout`, with which every file begins, and return its entry."""
        size, digest = len(LAYOUT), Digest.of(LAYOUT)
        frame = header_frame(self.form, LAYOUT_NAME, size) + stored(self.form, LAYOUT)
        write_at(self.source.descriptor, [frame], 0)
        return FileEntry(LAYOUT_NAME, 0, len(frame), size, digest, True)
