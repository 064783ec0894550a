"""A blob on its way into an archive file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from image_tools.errors import DigestMismatch
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import Incoming
from image_tools.stores.archive.framing import (
    Compressed,
    Form,
    Stored,
    header_length,
    stored_length,
)
from image_tools.stores.archive.growing import Growth
from image_tools.stores.archive.reading import CHUNK
from image_tools.stores.archive.toc import blob_entry
from image_tools.stores.archive.writing import refusals, write_at

_IN_MEMORY = 1 << 20


def incoming(growth: Growth, size: int | None, *, compressible: bool) -> Incoming:
    """A new blob of `size` bytes; `compressible` when its content is worth the time."""
    if compressible and growth.form is not Form.TAR:
        return _Squeezed(growth)
    return _Unmeasured(growth) if size is None else _Direct(growth, size)


class _Direct:
    """A blob of known size, written to its place as it comes."""

    def __init__(self, growth: Growth, size: int) -> None:
        self._growth, self._size, self._left = growth, size, size
        self._header = header_length(growth.form)
        self._length = self._header + stored_length(growth.form, size)
        self._frame = Stored(growth.form, size)
        self._offset = growth.reserve(self._length)
        self._at = self._offset + self._header
        self._over = False

    def write(self, data: bytes) -> None:
        """See `Incoming`."""
        if len(data) > self._left:
            raise DigestMismatch(f"more bytes came than the {self._size} that were announced")
        source = self._growth.source
        with refusals(source.name, self._left):
            self._at = write_at(source.descriptor, self._frame.encode(data), self._at)
        self._left -= len(data)

    def finish(self, digest: Digest) -> None:
        """See `Incoming`."""
        try:
            if self._left:
                raise DigestMismatch(f"{self._left} of {self._size} bytes are missing")
            source, growth = self._growth.source, self._growth
            with refusals(source.name, 0):
                write_at(source.descriptor, self._frame.end(), self._at)
                growth.keep(blob_entry(digest, self._offset, self._length, self._size, True))
        except BaseException:
            self.drop()
            raise
        self._over = True

    def drop(self) -> None:
        """See `Incoming`."""
        if not self._over:
            self._over = True
            self._growth.release(self._offset, self._length)


class _Waiting:
    """Bytes in a file without a name beside the archive; few of them in memory."""

    def __init__(self, growth: Growth) -> None:
        self._growth, self._size = growth, 0
        folder = str(Path(growth.source.name).parent)
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=folder)  # noqa: SIM115

    def _add(self, data: bytes) -> None:
        with refusals(self._growth.source.name):
            self._file.write(data)

    def _length(self) -> int:
        with refusals(self._growth.source.name):
            self._file.seek(0, os.SEEK_END)
            return self._file.tell()

    def drop(self) -> None:
        """See `Incoming`."""
        self._file.close()


class _Squeezed(_Waiting):
    """A blob that is compressed: how long that gets is known at its end."""

    def __init__(self, growth: Growth) -> None:
        super().__init__(growth)
        self._frame = Compressed(growth.form)

    def write(self, data: bytes) -> None:
        """See `Incoming`."""
        self._add(self._frame.encode(data))
        self._size += len(data)

    def finish(self, digest: Digest) -> None:
        """See `Incoming`."""
        with self._file:
            self._add(self._frame.end())
            self._place(digest, header_length(self._growth.form))

    def _place(self, digest: Digest, header: int) -> None:
        growth, length = self._growth, header + self._length()
        offset = growth.reserve(length)
        try:
            with refusals(growth.source.name, length):
                self._file.seek(0)
                at = offset + header
                while data := self._file.read(CHUNK):
                    at = write_at(growth.source.descriptor, [data], at)
                growth.keep(blob_entry(digest, offset, length, self._size, False))
        except BaseException:
            growth.release(offset, length)
            raise


class _Unmeasured(_Waiting):
    """A blob whose size nobody said before."""

    def write(self, data: bytes) -> None:
        """See `Incoming`."""
        self._add(data)
        self._size += len(data)

    def finish(self, digest: Digest) -> None:
        """See `Incoming`."""
        with self._file:
            direct = _Direct(self._growth, self._size)
            try:
                self._file.seek(0)
                while data := self._file.read(CHUNK):
                    direct.write(data)
                direct.finish(digest)
            finally:
                direct.drop()
