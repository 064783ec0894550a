"""A blob on its way into an archive file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Protocol

from image_tools.errors import DigestMismatch
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import Incoming
from image_tools.stores.archive.file.framing import (
    Compressed,
    Packing,
    Stored,
    header_length,
    stored_length,
)
from image_tools.stores.archive.file.growing import BlobPlace
from image_tools.stores.archive.file.reading import CHUNK
from image_tools.stores.archive.file.toc import FileEntry, Piece, blob_name, piece_name
from image_tools.stores.archive.file.writing import refusals

_IN_MEMORY = 1 << 20


class Site(Protocol):
    """Where blobs get their places: a growing file, or several of them."""

    @property
    def form(self) -> Packing:
        """How entries are wrapped."""

    @property
    def name(self) -> str:
        """The archive's path."""

    def reserve(self, length: int) -> BlobPlace:
        """A free place; DiskFull when there is no room for so much."""


def incoming(site: Site, size: int | None, *, compressible: bool) -> Incoming:
    """A new blob of `size` bytes; `compressible` when its content is worth the time."""
    if compressible and site.form is not Packing.TAR:
        return _Squeezed(site)
    return Unmeasured(site) if size is None else Direct(site, size)


class Direct:
    """A blob of known size, or a piece of one, written to its place as it comes."""

    def __init__(self, site: Site, size: int) -> None:
        self._size, self._left = size, size
        header = header_length(site.form)
        self._frame = Stored(site.form, size)
        self._place = site.reserve(header + stored_length(site.form, size))
        self._at = self._place.offset + header
        self._over = False

    def write(self, data: bytes | memoryview) -> None:
        """See `Incoming`."""
        if len(data) > self._left:
            raise DigestMismatch(f"more bytes came than the {self._size} that were announced")
        with refusals(self._place.growth.name, self._left):
            self._at = self._place.write(self._frame.encode(data), self._at)
        self._left -= len(data)

    def finish(self, digest: Digest) -> None:
        """See `Incoming`."""
        self.finish_piece(digest, None)

    def finish_piece(self, digest: Digest, piece: Piece | None) -> None:
        """The same for the piece of a blob, itself of this digest; for a whole one None."""
        try:
            if self._left:
                raise DigestMismatch(f"{self._left} of {self._size} bytes are missing")
            name = piece_name(piece, self._size) if piece else blob_name(digest)
            place = self._place
            entry = FileEntry(name, place.offset, place.length, self._size, digest, True, piece)
            with refusals(place.growth.name, 0):
                place.write(self._frame.end(), self._at)
                place.growth.keep(place, entry)
        except BaseException:
            self.drop()
            raise
        self._over = True

    def drop(self) -> None:
        """See `Incoming`."""
        if not self._over:
            self._over = True
            self._place.growth.release(self._place)


class _Waiting:
    """Bytes in a file without a name beside the archive; few of them in memory."""

    def __init__(self, site: Site) -> None:
        self._site, self._size = site, 0
        folder = str(Path(site.name).parent)
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=folder)  # noqa: SIM115

    def _add(self, data: bytes) -> None:
        with refusals(self._site.name):
            self._file.write(data)

    def drop(self) -> None:
        """See `Incoming`."""
        self._file.close()


class _Squeezed(_Waiting):
    """A blob that is compressed: how long that gets is known at its end."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._frame = Compressed(site.form)

    def write(self, data: bytes) -> None:
        """See `Incoming`."""
        self._add(self._frame.encode(data))
        self._size += len(data)

    def finish(self, digest: Digest) -> None:
        """See `Incoming`."""
        with self._file:
            self._add(self._frame.end())
            self._file.seek(0, os.SEEK_END)
            place = self._site.reserve(header_length(self._site.form) + self._file.tell())
            try:
                with refusals(self._site.name, place.length):
                    self._copy(digest, place)
            except BaseException:
                place.growth.release(place)
                raise

    def _copy(self, digest: Digest, place: BlobPlace) -> None:
        at = place.offset + header_length(self._site.form)
        self._file.seek(0)
        while data := self._file.read(CHUNK):
            at = place.write([data], at)
        name = blob_name(digest)
        entry = FileEntry(name, place.offset, place.length, self._size, digest, stored=False)
        place.growth.keep(place, entry)


class Unmeasured(_Waiting):
    """A blob whose size nobody said before."""

    def write(self, data: bytes) -> None:
        """See `Incoming`."""
        self._add(data)
        self._size += len(data)

    def finish(self, digest: Digest) -> None:
        """See `Incoming`."""
        with self._file:
            measured = self._measured(self._size)
            try:
                self._file.seek(0)
                while data := self._file.read(CHUNK):
                    measured.write(data)
                measured.finish(digest)
            finally:
                measured.drop()

    def _measured(self, size: int) -> Incoming:
        return Direct(self._site, size)
