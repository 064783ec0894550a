"""A blob on its way into an archive file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Protocol

from image_tools.errors import DigestMismatch
from image_tools.machine.files import MIB, disk_errors
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import BlobWriter, Form
from image_tools.stores.archive.file.append_area import BlobPlace
from image_tools.stores.archive.file.framing import (
    Compressed,
    Stored,
    header_length,
    stored_length,
)
from image_tools.stores.archive.file.reading import CHUNK
from image_tools.stores.archive.file.toc import FileEntry, Piece, blob_name, piece_name


class BlobSite(Protocol):
    """Where blobs get their places: an append area, or several volumes."""

    @property
    def form(self) -> Form:
        """Return how entries are wrapped."""

    @property
    def name(self) -> str:
        """Return the archive's path."""

    def reserve(self, length: int) -> BlobPlace:
        """Return a free place of `length` bytes; raise DiskFull when the disk has no room."""


def blob_writer(site: BlobSite, size: int | None, *, compressible: bool) -> BlobWriter:
    """Return the writer of a blob of `size` bytes, None when unknown."""
    if compressible and site.form is not Form.TAR:
        return _CompressedBlobWriter(site)
    return UnsizedBlobWriter(site) if size is None else StoredBlobWriter(site, size)


class StoredBlobWriter:
    """A blob of known size, or a piece of one, written to its place as it arrives."""

    def __init__(self, site: BlobSite, size: int) -> None:
        self._size, self._left = size, size
        header = header_length(site.form)
        self._frame = Stored(site.form, size)
        self._place = site.reserve(header + stored_length(site.form, size))
        self._at = self._place.offset + header
        self._over = False

    def write(self, data: bytes | memoryview) -> None:
        if len(data) > self._left:
            raise DigestMismatch(f"more bytes came than the {self._size} that were announced")
        with disk_errors(self._place.area.name, self._left):
            self._at = self._place.write(self._frame.encode(data), self._at)
        self._left -= len(data)

    def finish(self, digest: Digest) -> None:
        self.finish_piece(digest, None)

    def finish_piece(self, digest: Digest, piece: Piece | None) -> None:
        """Keep the piece of a blob; `digest` is the piece's own. None stands for a whole blob."""
        try:
            if self._left:
                raise DigestMismatch(f"{self._left} of {self._size} bytes are missing")
            name = piece_name(piece, self._size) if piece else blob_name(digest)
            place = self._place
            entry = FileEntry(name, place.offset, place.length, self._size, digest, True, piece)
            with disk_errors(place.area.name, 0):
                place.write(self._frame.end(), self._at)
                place.area.keep(place, entry)
        except BaseException:
            self.drop()
            raise
        self._over = True

    def drop(self) -> None:
        if not self._over:
            self._over = True
            self._place.area.release(self._place)


class _SpooledBlobWriter:
    """Bytes in a nameless file beside the archive; a few of them in memory."""

    def __init__(self, site: BlobSite) -> None:
        self._site, self._size = site, 0
        folder = str(Path(site.name).parent)
        self._file = tempfile.SpooledTemporaryFile(MIB, dir=folder)  # noqa: SIM115

    def _add(self, data: bytes) -> None:
        with disk_errors(self._site.name):
            self._file.write(data)

    def drop(self) -> None:
        self._file.close()


class _CompressedBlobWriter(_SpooledBlobWriter):
    """A blob that is compressed: its length in the file is known at its end."""

    def __init__(self, site: BlobSite) -> None:
        super().__init__(site)
        self._frame = Compressed(site.form)

    def write(self, data: bytes) -> None:
        self._add(self._frame.encode(data))
        self._size += len(data)

    def finish(self, digest: Digest) -> None:
        with self._file:
            self._add(self._frame.end())
            self._file.seek(0, os.SEEK_END)
            place = self._site.reserve(header_length(self._site.form) + self._file.tell())
            try:
                with disk_errors(self._site.name, place.length):
                    self._copy(digest, place)
            except BaseException:
                place.area.release(place)
                raise

    def _copy(self, digest: Digest, place: BlobPlace) -> None:
        at = place.offset + header_length(self._site.form)
        self._file.seek(0)
        while data := self._file.read(CHUNK):
            at = place.write([data], at)
        name = blob_name(digest)
        entry = FileEntry(name, place.offset, place.length, self._size, digest, stored=False)
        place.area.keep(place, entry)


class UnsizedBlobWriter(_SpooledBlobWriter):
    """A blob whose size is known only at its end."""

    def write(self, data: bytes) -> None:
        self._add(data)
        self._size += len(data)

    def finish(self, digest: Digest) -> None:
        with self._file:
            sized = self._sized_writer(self._size)
            try:
                self._file.seek(0)
                while data := self._file.read(CHUNK):
                    sized.write(data)
                sized.finish(digest)
            finally:
                sized.drop()

    def _sized_writer(self, size: int) -> BlobWriter:
        return StoredBlobWriter(self._site, size)
