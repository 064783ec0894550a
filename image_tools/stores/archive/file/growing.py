"""An archive file while blobs arrive in it: many at once, each in a place of its own.

A blob whose size is known is written straight to its place; what is compressed on the way, or of
unknown size, waits in a private file beside the archive. Nobody waits for anybody.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from image_tools.errors import ArchiveDamaged, InvalidReference
from image_tools.oci.digest import Digest
from image_tools.stores.archive.file.extents import Extents
from image_tools.stores.archive.file.framing import (
    Packing,
    header_frame,
)
from image_tools.stores.archive.file.journal import Journal
from image_tools.stores.archive.file.reading import CHUNK, FileSource
from image_tools.stores.archive.file.tail import is_there
from image_tools.stores.archive.file.toc import FileEntry, entry_value, parse_entry
from image_tools.stores.archive.file.writing import check_room, flush, refusals, write_at

_ARRIVED, NOTE = "blob", "note"


@dataclass(frozen=True, slots=True)
class BlobPlace:
    """A place in a growing file that one blob has for its frames."""

    growth: Growth
    offset: int
    length: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.length

    def write(self, pieces: Sequence[bytes | memoryview], at: int) -> int:
        """Write all pieces at a byte of the file; the byte behind them. OSError when refused."""
        return write_at(self.growth.source.descriptor, pieces, at)


class Growth:
    """The part of an archive file behind its first entries, `body`, in which blobs arrive.

    `entries` are those that arrived, by digest, from earlier runs too; `on_their_way` counts the
    places that were neither kept nor given back.
    """

    def __init__(
        self, form: Packing, source: FileSource, journal: Journal, body: tuple[FileEntry, ...]
    ) -> None:
        self.form, self.source, self.journal = form, source, journal
        self.body, self._there = body, {entry.digest for entry in body}
        start = body[-1].end
        self.entries = {
            entry.digest: entry
            for entry in _arrived(form, journal)
            if entry.offset >= start and is_there(form, source, entry)
        }
        taken = ((entry.offset, entry.length) for entry in self.entries.values())
        self._extents = Extents(start, taken)
        self._changed = threading.Condition()
        self._arriving = set[Digest]()
        self.on_their_way = 0

    @property
    def end(self) -> int:
        """The first byte behind all blobs."""
        return self._extents.end

    @property
    def name(self) -> str:
        """The archive's path."""
        return self.source.name

    def reserve(self, length: int) -> BlobPlace:
        """A free place; DiskFull when there is no room for so much."""
        with self._changed:
            place = BlobPlace(self, self._extents.reserve(length), length)
            self.on_their_way += 1
        try:
            with refusals(self.source.name, length):
                if place.end > os.fstat(self.source.descriptor).st_size:
                    check_room(self.source.descriptor, length)
        except BaseException:
            self.release(place)
            raise
        return place

    def release(self, place: BlobPlace) -> None:
        """Give a place back."""
        with self._changed:
            self._extents.release(place.offset, place.length)
            self.on_their_way -= 1

    def keep(self, place: BlobPlace, entry: FileEntry) -> None:
        """Make the content of a place a blob of the archive, durably.

        One that is there already is not kept twice. OSError when the disk refuses; the place is
        not given back then.
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
        """Whether this blob is the caller's to keep; waits for another one of the same digest."""
        with self._changed:
            while digest in self._arriving:
                self._changed.wait()
            if digest in self.entries or digest in self._there:
                return False
            self._arriving.add(digest)
            return True

    def close_holes(self) -> tuple[FileEntry, ...]:
        """What arrived, in the order of the file and without holes; nothing may be on its way.

        What lies behind a hole is moved down.
        """
        if self.on_their_way:
            raise RuntimeError("a blob is still on its way into the archive")
        if self._extents.holes:
            at = min(offset for offset, _ in self._extents.holes)
            for entry in self._sorted():
                if entry.offset > at:
                    self._move(entry, at)
                    at += entry.length
                else:
                    at = max(at, entry.end)
            self._extents = Extents(at)
        return self._sorted()

    def _sorted(self) -> tuple[FileEntry, ...]:
        return tuple(sorted(self.entries.values(), key=lambda entry: entry.offset))

    def _move(self, entry: FileEntry, to: int) -> None:
        """Bring an entry down; where it would be written over itself, by way of the end."""
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


def _arrived(form: Packing, journal: Journal) -> Iterator[FileEntry]:
    """The entries the journal tells of, each where it was put last."""
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
