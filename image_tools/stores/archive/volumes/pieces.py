"""A blob that is bigger than a volume: written in pieces, and read as one."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from image_tools.errors import DigestMismatch
from image_tools.oci.digest import Digest
from image_tools.stores.archive.file.archive_file import FileContent
from image_tools.stores.archive.file.blob_writers import StoredBlobWriter
from image_tools.stores.archive.file.reading import CHUNK, SeekableReader
from image_tools.stores.archive.file.toc import FileEntry, Piece


class _Part:
    """A piece on its way, with the digest of what has arrived of it."""

    def __init__(self, direct: StoredBlobWriter, start: int, size: int) -> None:
        self.direct, self.start, self.left = direct, start, size
        self._hash = hashlib.sha256()

    def write(self, data: memoryview) -> None:
        self.direct.write(data)
        self._hash.update(data)
        self.left -= len(data)

    def finish(self, blob: Digest, whole: int) -> None:
        digest = Digest("sha256", self._hash.hexdigest())
        self.direct.finish_piece(digest, Piece(blob, self.start, whole))


class PieceWriter:
    """The `BlobWriter` of a blob in pieces; `begin` opens the next, of up to so many bytes."""

    def __init__(self, size: int, begin: Callable[[int], tuple[StoredBlobWriter, int]]) -> None:
        self._size, self._taken, self._begin = size, 0, begin
        self._parts = list[_Part]()

    def write(self, data: bytes) -> None:
        if self._taken + len(data) > self._size:
            raise DigestMismatch(f"more bytes came than the {self._size} that were announced")
        view = memoryview(data)
        while view:
            part = self._part()
            piece = view[: part.left]
            part.write(piece)
            self._taken += len(piece)
            view = view[len(piece) :]

    def _part(self) -> _Part:
        if not self._parts or not self._parts[-1].left:
            direct, size = self._begin(self._size - self._taken)
            self._parts.append(_Part(direct, self._taken, size))
        return self._parts[-1]

    def finish(self, digest: Digest) -> None:
        try:
            if self._taken != self._size:
                missing = self._size - self._taken
                raise DigestMismatch(f"{missing} of {self._size} bytes are missing")
            for part in self._parts:
                part.finish(digest, self._size)
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        for part in self._parts:
            part.direct.drop()


@dataclass(frozen=True, slots=True)
class PieceInVolume:
    """A piece and the volume that holds it."""

    volume: FileContent
    entry: FileEntry
    piece: Piece


def chain(places: Iterable[PieceInVolume]) -> tuple[PieceInVolume, ...]:
    """Return the pieces that make up a whole blob, in order; none when one is missing.

    There may be others, left by a killed run.
    """
    following: dict[int, PieceInVolume] = {}
    for place in sorted(places, key=lambda place: place.piece.start, reverse=True):
        end = place.piece.start + place.entry.size
        if place.entry.size and (end == place.piece.whole or end in following):
            following[place.piece.start] = place
    at, found = 0, list[PieceInVolume]()
    while at in following:
        found.append(following[at])
        at += following[at].entry.size
    return tuple(found)


class _JoinedReader(SeekableReader):
    """Pieces as one file, of which one is open at a time."""

    def __init__(self, places: Sequence[PieceInVolume]) -> None:
        super().__init__(places[0].piece.whole)
        self._places = places
        self._open: tuple[PieceInVolume, BinaryIO] | None = None

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        place = next((place for place in self._places if self._within(place)), None)
        if place is None:
            return 0
        file = self._file(place)
        file.seek(self._at - place.piece.start)
        data = file.read(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _within(self, place: PieceInVolume) -> bool:
        return 0 <= self._at - place.piece.start < place.entry.size

    def _file(self, place: PieceInVolume) -> BinaryIO:
        if self._open is None or self._open[0] is not place:
            self._leave()
            self._open = place, place.volume.open(place.entry.digest)
        return self._open[1]

    def _leave(self) -> None:
        if self._open:
            self._open[1].close()
            self._open = None

    def close(self) -> None:
        self._leave()
        super().close()


def open_joined(places: Sequence[PieceInVolume]) -> BinaryIO:
    """Return a whole blob from the pieces that `chain` returned."""
    return io.BufferedReader(_JoinedReader(places), CHUNK)
