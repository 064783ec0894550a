"""An archive in several files of a limited size: each an archive file of its own.

`images.tar.gz.part1` and so on, written as they fill. The last one has index.json and the list of
what is in the others. What is added later, also in place of a volume that was lost, makes new
volumes behind them and a new list; the others stay as they are.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from image_tools.errors import ArchiveDamaged
from image_tools.oci.digest import Digest
from image_tools.stores.archive.beside import journal_path, locked
from image_tools.stores.archive.content import Incoming
from image_tools.stores.archive.file.framed import FramedContent
from image_tools.stores.archive.file.framing import Packing
from image_tools.stores.archive.file.growing import NOTE
from image_tools.stores.archive.file.incoming import Unmeasured, incoming
from image_tools.stores.archive.file.tail import Tail
from image_tools.stores.archive.file.writing import refusals
from image_tools.stores.archive.volumes.blobs import VolumeBlobs
from image_tools.stores.archive.volumes.journal import set_journal
from image_tools.stores.archive.volumes.list import (
    Listed,
    VolumeList,
    base_and_number,
    held,
    list_bytes,
)
from image_tools.stores.archive.volumes.pieces import Pieces
from image_tools.stores.archive.volumes.set import Lost, VolumeSet, begun, find_set
from image_tools.stores.archive.volumes.writing import VolumeWriting

_ENDS = 8 << 10
"""What the headers of the last entries take, at most."""


class VolumesContent:
    """The `Content` of an archive in volumes. Made by `create`, `reading` and `adding`.

    `lost` are the volumes that are missing or damaged.
    """

    def __init__(self, path: Path, form: Packing, part_size: int, known: VolumeSet | None) -> None:
        self.path, self.form, self.part_size = path, form, part_size
        self._base, _ = base_and_number(path)
        self._set_id = known.set_id if known else ""
        self._sealed = list(known.volumes if known else ())
        self.lost: tuple[Lost, ...] = known.lost if known else ()
        self._index = known.index if known else b""
        self._writing: VolumeWriting | None = None
        self._lock, self._locked, self._noted = threading.RLock(), -1, False
        self._blobs = VolumeBlobs(lambda: self.parts)
        self._blobs.join()

    @classmethod
    def create(cls, path: Path, form: Packing, part_size: int) -> VolumesContent:
        """A new archive in volumes of at most `part_size` bytes; it goes on with a killed run's.

        Volumes that are there are taken away at once, and replaced. Errors as of
        `FramedContent.create`; UsageError, too, where a file is in the way.
        """
        base, _ = base_and_number(path)
        content = cls(base, form, part_size, None)
        content.writing()
        return content

    @classmethod
    def reading(cls, path: Path) -> VolumesContent:
        """An archive of which `path` is one volume, or the name without `.partN`.

        ArchiveDamaged names every volume that is missing or damaged, and how much is in it.
        """
        content = cls.found(path)
        if content.lost:
            content.close()
            said = "; ".join(map(str, content.lost))
            advice = "copy these volumes again, or make them again with save --repair"
            raise ArchiveDamaged(f"{content.name} is not whole: {said}", advice=advice)
        return content

    @classmethod
    def adding(cls, path: Path) -> VolumesContent:
        """The same, to add to, also when volumes are lost: `missing` says what was in them.

        Nothing is written before the first blob.
        """
        content = cls.found(path)
        if journal_path(content._base).exists():
            content.writing()
        return content

    @classmethod
    def found(cls, path: Path) -> VolumesContent:
        """An archive to look into: volumes may be lost. ArchiveDamaged without the last one."""
        known = find_set(path)
        return cls(path, known.form, known.part_size, known)

    @property
    def name(self) -> str:
        """See `Content`."""
        return str(self.path)

    @property
    def parts(self) -> tuple[FramedContent, ...]:
        """All volumes there are, those that grow at the end."""
        growing = (*self._growing(),)
        return (*self._sealed, *growing)

    def missing(self) -> tuple[tuple[Digest, int], ...]:
        """The blobs that were in volumes now lost, and are nowhere else, with their sizes."""
        blobs = dict(held.blob for lost in self.lost for held in lost.holds)
        return tuple((digest, size) for digest, size in blobs.items() if self.size(digest) is None)

    def index(self) -> bytes:
        """See `Content`."""
        return self._index

    def size(self, digest: Digest) -> int | None:
        """See `Content`."""
        return self._blobs.size(digest)

    def digests(self) -> Iterator[tuple[Digest, int]]:
        """See `Content`."""
        return self._blobs.digests()

    def open(self, digest: Digest) -> BinaryIO:
        """See `Content`."""
        return self._blobs.open(self.name, digest)

    def begin(self, size: int | None, *, compressible: bool) -> Incoming:
        """See `Content`."""
        writing = self.writing()
        if size is None:
            return _Unmeasured(self, compressible=compressible)
        if writing.fits(size):
            return _Watched(self, incoming(writing, size, compressible=compressible))
        return _Watched(self, Pieces(size, writing.piece))

    def arrived(self, *, in_pieces: bool) -> None:
        """Finish volumes that are full now that a blob has come."""
        if in_pieces:
            self._blobs.join()
        with refusals(self.name):
            self.writing().settle()

    def note(self, line: str) -> None:
        """See `Content`."""
        with refusals(self.name):
            self.writing().journal.append(NOTE, line)
        self._noted = True

    def notes(self) -> tuple[str, ...]:
        """See `Content`."""
        found = self._writing.journal.entries if self._writing else ()
        return tuple(text for kind, text in found if kind == NOTE)

    def publish(self, index: bytes) -> None:
        """See `Content`. Nothing may be on its way in."""
        with self._lock, refusals(self.name):
            if self._is_published(index):
                for part in self._growing():
                    part.close()
            else:
                writing = self.writing()
                with writing.lock:
                    last, listing = self._last_volume(writing, len(index))
                    writing.seal(last, index, listing)
            self._index, self.lost = index, ()
            self._end_writing(done=True)

    def _is_published(self, index: bytes) -> bool:
        """Whether the last volume says all that is to be said."""
        tail = self._sealed[-1].tail if self._sealed else None
        said = bool(tail and tail.volumes) and tail is not None and tail.index == index
        return (
            said and not self.lost and not any(part.growing().entries for part in self._growing())
        )

    def _last_volume(self, writing: VolumeWriting, length: int) -> tuple[FramedContent, bytes]:
        """The only volume that still grows, with room for an index so long, and the list for it."""
        for part in writing.growing[:-1]:
            writing.seal(part)
        last = writing.growing[-1] if writing.growing else writing.begin()
        listing = self._listing()
        if writing.room(last) < length + len(listing) + _ENDS and last.growing().entries:
            writing.seal(last)
            last, listing = writing.begin(), self._listing()
        return last, listing

    def _listing(self) -> bytes:
        listed = [_listed(part, part.tail) for part in self._sealed if part.tail]
        listed.sort(key=lambda volume: volume.number)
        return list_bytes(VolumeList(self._set_id, self.part_size, tuple(listed)))

    def close(self) -> None:
        """See `Content`. What nothing came to goes away."""
        with self._lock:
            empty = not any(part.growing().entries for part in self._growing())
            for part in self.parts:
                part.close()
            if self._writing:
                begun = self._noted or self._writing.journal.entries[1:]
                self._end_writing(done=empty and not begun and self._is_as_it_was())
            self._sealed = []

    def _growing(self) -> list[FramedContent]:
        return self._writing.growing if self._writing else []

    def _is_as_it_was(self) -> bool:
        return not self._sealed or bool(self._sealed[-1].tail and self._sealed[-1].tail.volumes)

    def _end_writing(self, *, done: bool) -> None:
        writing, self._writing = self._writing, None
        if writing:
            writing.journal.remove() if done else writing.journal.close()
            os.close(self._locked)

    def writing(self) -> VolumeWriting:
        """The volumes that grow, begun at the first need of them."""
        with self._lock:
            if self._writing is None:
                with refusals(self.name):
                    self._locked = locked(journal_path(self._base), os.O_RDWR | os.O_CREAT)
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
            finished, growing = begun(self._base, self.form, self._set_id)
            last = max((part.volume.number for part in self._sealed if part.volume), default=0)
            for part in finished:
                if part.volume and part.volume.number > last:
                    self._sealed.append(part)
                else:
                    part.close()
            place = (self._base, self.form, self._set_id)
            return VolumeWriting(place, self.part_size, journal, self._sealed, growing)
        except BaseException:
            journal.close()
            raise


def _listed(part: FramedContent, tail: Tail) -> Listed:
    number = part.volume.number if part.volume else 0
    return Listed(number, part.source.size(), tail.table_digest, held(part.files()))


class _Watched:
    """A blob on its way into one of several volumes."""

    def __init__(self, content: VolumesContent, inner: Incoming) -> None:
        self._content, self._inner = content, inner

    def write(self, data: bytes) -> None:
        """See `Incoming`."""
        self._inner.write(data)

    def finish(self, digest: Digest) -> None:
        """See `Incoming`."""
        if self._content.size(digest) is None:
            self._inner.finish(digest)
            self._content.arrived(in_pieces=isinstance(self._inner, Pieces))
        else:
            self._inner.drop()

    def drop(self) -> None:
        """See `Incoming`."""
        self._inner.drop()


class _Unmeasured(Unmeasured):
    """A blob of which nobody said the size before."""

    def __init__(self, content: VolumesContent, *, compressible: bool) -> None:
        super().__init__(content.writing())
        self._content, self._compressible = content, compressible

    def _measured(self, size: int) -> Incoming:
        return self._content.begin(size, compressible=self._compressible)
