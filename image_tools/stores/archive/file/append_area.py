"""The end of an archive file while blobs arrive: many at once, each in a place of its own.

A blob whose size is known is written straight to its place; one that is compressed on the way, or
of unknown size, waits in a private file beside the archive. No writer waits for another.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from image_tools.errors import ArchiveDamaged, InvalidReference
from image_tools.machine.files import check_room, disk_errors, flush, write_at
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import Form
from image_tools.stores.archive.file.framing import header_frame
from image_tools.stores.archive.file.journal import Journal
from image_tools.stores.archive.file.reading import CHUNK, FileSource
from image_tools.stores.archive.file.toc import FileEntry, entry_value, parse_entry
from image_tools.stores.archive.file.trailer import has_entry

_ARRIVED, NOTE = "blob", "note"


class FreeSpace:
    """The places of a file from byte `start`; `end` is the first byte behind all taken ones."""

    def __init__(self, start: int, taken: Iterable[tuple[int, int]] = ()) -> None:
        self.end = start
        self._holes: dict[int, int] = {}
        for offset, length in sorted(taken):
            if offset > self.end:
                self._holes[self.end] = offset - self.end
            self.end = offset + length

    @property
    def holes(self) -> tuple[tuple[int, int], ...]:
        """Return the offset and length of each place that was given back between others."""
        return tuple(sorted(self._holes.items()))

    def reserve(self, length: int) -> int:
        """Return the offset of a place of `length` bytes.

        A hole of exactly this length is taken first: most often the blob that failed in it comes
        again.
        """
        fitting = next((at for at, long in self._holes.items() if long == length), None)
        if fitting is not None:
            del self._holes[fitting]
            return fitting
        offset = self.end
        self.end += length
        return offset

    def release(self, offset: int, length: int) -> None:
        """Give a place back."""
        self._holes[offset] = length
        ends = {at + long: at for at, long in self._holes.items()}
        while self.end in ends:
            self.end = ends[self.end]
            del self._holes[self.end]


@dataclass(frozen=True, slots=True)
class BlobPlace:
    """The place of one blob's frames in the append area, in bytes of the file."""

    area: AppendArea
    offset: int
    length: int

    @property
    def end(self) -> int:
        """Return the first byte behind it."""
        return self.offset + self.length

    def write(self, pieces: Sequence[bytes | memoryview], at: int) -> int:
        """Write `pieces` at byte `at` of the file and return the byte behind; raise OSError."""
        return write_at(self.area.source.descriptor, pieces, at)


class AppendArea:
    """The part of an archive file behind its first entries, `body`, in which blobs arrive.

    `entries` are those that arrived, by digest, also from earlier runs; `on_their_way` counts the
    places that were neither kept nor given back.
    """

    def __init__(
        self, form: Form, source: FileSource, journal: Journal, body: tuple[FileEntry, ...]
    ) -> None:
        self.form, self.source, self.journal = form, source, journal
        self.body, self._in_body = body, {entry.digest for entry in body}
        start = body[-1].end
        self.entries = {
            entry.digest: entry
            for entry in _arrived(form, journal)
            if entry.offset >= start and has_entry(form, source, entry)
        }
        taken = ((entry.offset, entry.length) for entry in self.entries.values())
        self._space = FreeSpace(start, taken)
        self._changed = threading.Condition()
        self._arriving = set[Digest]()
        self.on_their_way = 0

    @property
    def end(self) -> int:
        """Return the first byte behind all blobs."""
        return self._space.end

    @property
    def name(self) -> str:
        """Return the archive's path."""
        return self.source.name

    def reserve(self, length: int) -> BlobPlace:
        """Return a free place of `length` bytes; raise DiskFull when the disk has no room."""
        with self._changed:
            place = BlobPlace(self, self._space.reserve(length), length)
            self.on_their_way += 1
        try:
            with disk_errors(self.source.name, length):
                if place.end > os.fstat(self.source.descriptor).st_size:
                    check_room(self.source.descriptor, length)
        except BaseException:
            self.release(place)
            raise
        return place

    def release(self, place: BlobPlace) -> None:
        """Give a place back."""
        with self._changed:
            self._space.release(place.offset, place.length)
            self.on_their_way -= 1

    def keep(self, place: BlobPlace, entry: FileEntry) -> None:
        """Make the content of a place a blob of the archive, durably; give it back if known.

        Raise OSError when the disk refuses; then the place is not given back.
        """
        if not self._claim(entry.digest):
            self.release(place)
            return
        try:
            header = header_frame(self.form, entry.name, entry.size)
            write_at(self.source.descriptor, [header], entry.offset)
            flush(self.source.descriptor)
            self.journal.append(_ARRIVED, _line(entry))
            with self._changed:
                self.entries[entry.digest] = entry
                self.on_their_way -= 1
        finally:
            with self._changed:
                self._arriving.discard(entry.digest)
                self._changed.notify_all()

    def _claim(self, digest: Digest) -> bool:
        """Return whether the caller keeps this blob; waits for another of the same digest."""
        with self._changed:
            while digest in self._arriving:
                self._changed.wait()
            if digest in self.entries or digest in self._in_body:
                return False
            self._arriving.add(digest)
            return True

    def close_holes(self) -> tuple[FileEntry, ...]:
        """Move what lies behind a hole down, and return the entries in the order of the file.

        Raise RuntimeError while a blob is on its way.
        """
        if self.on_their_way:
            raise RuntimeError("a blob is still on its way into the archive")
        if self._space.holes:
            at = min(offset for offset, _ in self._space.holes)
            for entry in self._sorted():
                if entry.offset > at:
                    self._move(entry, at)
                    at += entry.length
                else:
                    at = max(at, entry.end)
            self._space = FreeSpace(at)
        return self._sorted()

    def _sorted(self) -> tuple[FileEntry, ...]:
        return tuple(sorted(self.entries.values(), key=lambda entry: entry.offset))

    def _move(self, entry: FileEntry, to: int) -> None:
        """Move an entry down; by way of the end where it would overwrite itself."""
        if to + entry.length > entry.offset:
            entry = self._copy(entry, self.end)
        self._copy(entry, to)

    def _copy(self, entry: FileEntry, to: int) -> FileEntry:
        for done in range(0, entry.length, CHUNK):
            data = self.source.read_at(entry.offset + done, min(CHUNK, entry.length - done))
            write_at(self.source.descriptor, [data], to + done)
        flush(self.source.descriptor)
        copied = replace(entry, offset=to)
        self.journal.append(_ARRIVED, _line(copied))
        self.entries[entry.digest] = copied
        return copied


def _line(entry: FileEntry) -> str:
    return json.dumps(entry_value(entry), separators=(",", ":"))


def _arrived(form: Form, journal: Journal) -> Iterator[FileEntry]:
    """Return the entries in the journal, each at the place where it was put last."""
    found: dict[Digest, FileEntry] = {}
    for kind, text in journal.entries:
        try:
            if kind == _ARRIVED:
                entry = parse_entry(form, json.loads(text))
                found[entry.digest] = entry
        except (ValueError, InvalidReference, RecursionError) as error:
            raise ArchiveDamaged(
                f"{journal.path}: {error}", advice="remove this file and run again"
            ) from error
    return iter(found.values())
