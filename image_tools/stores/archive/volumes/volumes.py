"""An archive in several files of a limited size: each an archive file of its own.

`images.tar.gz.part1` and so on, written as they fill. The last one has index.json and the list of
what is in the others. Later additions, also in place of a volume that was lost, go into new
volumes behind them with a new list; the others stay as they are.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from image_tools.errors import NotFound
from image_tools.machine.files import disk_errors
from image_tools.machine.locks import locked_file
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import BlobWriter, Form, ReportingBlobWriter
from image_tools.stores.archive.file.append_area import NOTE
from image_tools.stores.archive.file.archive_file import FileContent
from image_tools.stores.archive.file.blob_writers import UnsizedBlobWriter, blob_writer
from image_tools.stores.archive.file.journal import journal_path
from image_tools.stores.archive.file.trailer import Trailer
from image_tools.stores.archive.volumes.list import (
    ListedVolume,
    VolumeList,
    base_and_number,
    blobs_in,
    list_bytes,
)
from image_tools.stores.archive.volumes.pieces import PieceInVolume, PieceWriter, chain, open_joined
from image_tools.stores.archive.volumes.set import (
    UnreadableVolume,
    VolumeSet,
    find_set,
    unfinished_volumes,
)
from image_tools.stores.archive.volumes.writing import LAST_ENTRIES, VolumeWriting, set_journal


class VolumeBlobs:
    """The blobs, whole and in pieces, in the volumes that `files` returns, now and later."""

    def __init__(self, files: Callable[[], tuple[FileContent, ...]]) -> None:
        self._files = files
        self._joined: dict[Digest, tuple[PieceInVolume, ...]] = {}
        self._joining = threading.Lock()

    def join(self) -> None:
        """Find the blobs of which all pieces are there, after volumes or pieces were added."""
        # One at a time: an older result must not replace one with more blobs.
        with self._joining:
            self._joined = self._found()

    def _found(self) -> dict[Digest, tuple[PieceInVolume, ...]]:
        places: dict[Digest, list[PieceInVolume]] = {}
        for file in self._files():
            for entry in file.entries():
                if entry.piece:
                    place = PieceInVolume(file, entry, entry.piece)
                    places.setdefault(entry.piece.blob, []).append(place)
        chains = {digest: chain(found) for digest, found in places.items()}
        return {digest: found for digest, found in chains.items() if found}

    def size(self, digest: Digest) -> int | None:
        """Return the size of a blob in bytes, None when it is in no volume."""
        for file in self._with(digest):
            return file.size(digest)
        found = self._joined.get(digest)
        return found[0].piece.whole if found else None

    def _with(self, digest: Digest) -> Iterator[FileContent]:
        """Yield the volumes that have a blob in one piece."""
        for file in self._files():
            entry = file.find(digest)
            if entry and entry.piece is None:
                yield file

    def digests(self) -> Iterator[tuple[Digest, int]]:
        """Return all blobs with their sizes in bytes."""
        entries = [entry for file in self._files() for entry in file.entries()]
        whole = {entry.digest: entry.size for entry in entries if entry.piece is None}
        joined = {digest: found[0].piece.whole for digest, found in self._joined.items()}
        return iter((joined | whole).items())

    def open(self, name: str, digest: Digest) -> BinaryIO:
        """Return the bytes of a blob, seekable; raise NotFound, naming archive `name`."""
        for file in self._with(digest):
            return file.open(digest)
        if digest in self._joined:
            return open_joined(self._joined[digest])
        raise NotFound(f"{name} has no blob {digest}")


class VolumesContent:
    """The `Content` of an archive in volumes. Made by `create`, `reading` and `adding`.

    `lost` are the volumes that are missing or damaged.
    """

    def __init__(self, path: Path, form: Form, part_size: int, known: VolumeSet | None) -> None:
        self.path, self.form, self.part_size = path, form, part_size
        self._base, _ = base_and_number(path)
        self._set_id = known.set_id if known else ""
        self._sealed = list(known.volumes if known else ())
        self.lost: tuple[UnreadableVolume, ...] = known.lost if known else ()
        self._index = known.index if known else b""
        self._writing: VolumeWriting | None = None
        self._lock, self._locked, self._noted = threading.RLock(), -1, False
        self._blobs = VolumeBlobs(lambda: self.files)
        self._blobs.join()

    @classmethod
    def create(cls, path: Path, form: Form, part_size: int) -> VolumesContent:
        """Return a new archive in volumes of at most `part_size` bytes; continues a killed run's.

        Volumes that are there are removed at once. Raise what `FileContent.create` does, and
        UsageError where a file is in the way.
        """
        base, _ = base_and_number(path)
        content = cls(base, form, part_size, None)
        content.writing()
        return content

    @classmethod
    def reading(cls, path: Path) -> VolumesContent:
        """Return an archive of which `path` is one volume, or the name without `.partN`.

        See `lost` for volumes that cannot be read. Raise ArchiveDamaged without the last one.
        """
        known = find_set(path)
        return cls(path, known.form, known.part_size, known)

    @classmethod
    def adding(cls, path: Path) -> VolumesContent:
        """Return an archive to add to, as `reading`; nothing is written before the first blob."""
        content = cls.reading(path)
        if journal_path(content._base).exists():
            content.writing()
        return content

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def files(self) -> tuple[FileContent, ...]:
        """Return all volumes; those that grow are last."""
        growing = (*self._growing(),)
        return (*self._sealed, *growing)

    def index(self) -> bytes:
        return self._index

    def size(self, digest: Digest) -> int | None:
        return self._blobs.size(digest)

    def digests(self) -> Iterator[tuple[Digest, int]]:
        return self._blobs.digests()

    def open(self, digest: Digest) -> BinaryIO:
        return self._blobs.open(self.name, digest)

    def verify(self) -> Iterator[tuple[Digest, str | None]]:
        for file in self.files:
            yield from file.verify()

    def begin(self, size: int | None, *, compressible: bool) -> BlobWriter:
        writing = self.writing()
        if size is None:
            return _UnsizedVolumeBlobWriter(self, compressible=compressible)
        if writing.fits(size):
            inner = blob_writer(writing, size, compressible=compressible)
            return ReportingBlobWriter(self, inner, self._settle)
        return ReportingBlobWriter(self, PieceWriter(size, writing.piece), self._join)

    def _join(self, digest: Digest, size: int) -> None:
        self._blobs.join()
        self._settle(digest, size)

    def _settle(self, _digest: Digest, _size: int) -> None:
        """Finish volumes that are full now that a blob has arrived."""
        with disk_errors(self.name):
            self.writing().settle()

    def note(self, line: str) -> None:
        with disk_errors(self.name):
            self.writing().journal.append(NOTE, line)
        self._noted = True

    def notes(self) -> tuple[str, ...]:
        found = self._writing.journal.entries if self._writing else ()
        return tuple(text for kind, text in found if kind == NOTE)

    def publish(self, index: bytes) -> None:
        """See `Content`. No blob may be on its way."""
        with self._lock, disk_errors(self.name):
            if self._is_published(index):
                for file in self._growing():
                    file.close()
            else:
                writing = self.writing()
                with writing.lock:
                    last, listing = self._last_volume(writing, len(index))
                    writing.seal(last, index, listing)
            self._index, self.lost = index, ()
            self._end_writing(done=True)

    def _is_published(self, index: bytes) -> bool:
        """Return whether the last volume has this index, and nothing was added behind it."""
        trailer = self._sealed[-1].trailer if self._sealed else None
        return (
            trailer is not None
            and bool(trailer.volumes)
            and trailer.index == index
            and not self.lost
            and not self._has_arrived()
        )

    def _has_arrived(self) -> bool:
        return any(file.append_area().entries for file in self._growing())

    def _last_volume(self, writing: VolumeWriting, length: int) -> tuple[FileContent, bytes]:
        """Return the only volume that still grows, with room for the index, and the list for it."""
        for file in writing.growing[:-1]:
            writing.seal(file)
        last = writing.growing[-1] if writing.growing else writing.begin()
        listing = self._listing()
        needed = length + len(listing) + LAST_ENTRIES
        if writing.room(last) < needed and last.append_area().entries:
            writing.seal(last)
            last, listing = writing.begin(), self._listing()
        return last, listing

    def _listing(self) -> bytes:
        listed = [_listed(file, file.trailer) for file in self._sealed if file.trailer]
        listed.sort(key=lambda volume: volume.number)
        return list_bytes(VolumeList(self._set_id, self.part_size, tuple(listed)))

    def close(self) -> None:
        """See `Content`. Volumes to which nothing was added are removed."""
        with self._lock:
            empty = not self._has_arrived()
            for file in self.files:
                file.close()
            if self._writing:
                begun = self._noted or self._writing.journal.entries[1:]
                self._end_writing(done=empty and not begun and self._is_as_before())
            self._sealed = []

    def _growing(self) -> list[FileContent]:
        return self._writing.growing if self._writing else []

    def _is_as_before(self) -> bool:
        trailer = self._sealed[-1].trailer if self._sealed else None
        return not self._sealed or bool(trailer and trailer.volumes)

    def _end_writing(self, *, done: bool) -> None:
        writing, self._writing = self._writing, None
        if writing:
            writing.journal.remove() if done else writing.journal.close()
            os.close(self._locked)

    def writing(self) -> VolumeWriting:
        """Return the volumes that grow, which begin when they are first needed."""
        with self._lock:
            if self._writing is None:
                with disk_errors(self.name):
                    self._locked = locked_file(journal_path(self._base), os.O_RDWR | os.O_CREAT)
                    try:
                        self._writing = self._begun()
                    except BaseException:
                        os.close(self._locked)
                        raise
                self._blobs.join()
            return self._writing

    def _begun(self) -> VolumeWriting:
        journal, self._set_id = set_journal(self._base, self.form, self._set_id)
        try:
            finished, growing = unfinished_volumes(self._base, self.form, self._set_id)
            last = max((file.volume.number for file in self._sealed if file.volume), default=0)
            for file in finished:
                if file.volume and file.volume.number > last:
                    self._sealed.append(file)
                else:
                    file.close()
            place = (self._base, self.form, self._set_id)
            return VolumeWriting(place, self.part_size, journal, self._sealed, growing)
        except BaseException:
            journal.close()
            raise


def _listed(file: FileContent, trailer: Trailer) -> ListedVolume:
    number = file.volume.number if file.volume else 0
    return ListedVolume(number, file.source.size(), trailer.table_digest, blobs_in(file.body()))


class _UnsizedVolumeBlobWriter(UnsizedBlobWriter):
    """A blob whose size is known only at its end."""

    def __init__(self, content: VolumesContent, *, compressible: bool) -> None:
        super().__init__(content.writing())
        self._content, self._compressible = content, compressible

    def _sized_writer(self, size: int) -> BlobWriter:
        return self._content.begin(size, compressible=self._compressible)
