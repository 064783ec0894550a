"""Read frames of an archive file: a stored one at any byte, a compressed one from its start.

Decompressing ends at the size in the table, and its memory is bounded whatever the file holds.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

import zstandard

from image_tools.stores.archive.content import Form, damaged
from image_tools.stores.archive.file.framing import content_position, header_length
from image_tools.stores.archive.file.toc import FileEntry

CHUNK = 1 << 18
_LARGEST_WINDOW = 1 << 23


class RangeSource(Protocol):
    """Bytes that many threads can read at any offset."""

    @property
    def name(self) -> str:
        """Return the archive's path, for messages."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`, none at the end; raise ArchiveDamaged."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """An open file."""

    name: str
    descriptor: int

    def size(self) -> int:
        """Return the size of the file in bytes."""
        return os.fstat(self.descriptor).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self.descriptor, length, offset)
        except OSError as error:
            raise damaged(self.name, f"it cannot be read: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class BytesSource:
    """The bytes of a file from `start` that were saved elsewhere."""

    name: str
    start: int
    data: bytes

    def read_at(self, offset: int, length: int) -> bytes:
        return self.data[offset - self.start :][:length] if offset >= self.start else b""


class _Span(io.RawIOBase):
    """The bytes of a source from `offset` to `end`, for forward reading."""

    def __init__(self, source: RangeSource, offset: int, end: int) -> None:
        self._source, self._at, self._end = source, offset, end

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        wanted = min(CHUNK if size < 0 else size, self._end - self._at)
        data = self._source.read_at(self._at, wanted) if wanted > 0 else b""
        self._at += len(data)
        return data


def unpacked(form: Form, source: RangeSource, offset: int, end: int) -> Iterator[bytes]:
    """Yield the content of all frames between two offsets, in chunks of bounded size.

    Ends early when the file does. Raise ArchiveDamaged when it meets something else than a frame.
    """
    span = _Span(source, offset, end)
    try:
        if form is Form.GZIP:
            yield from _inflated(span)
        elif form is Form.ZSTD:
            decompressor = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
            reader = decompressor.stream_reader(cast(BinaryIO, span), read_across_frames=True)
            yield from iter(lambda: reader.read(CHUNK), b"")
        else:
            yield from iter(lambda: span.read(CHUNK), b"")
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise damaged(source.name, f"bytes {offset} to {end}: {error}") from error


def _inflated(span: _Span) -> Iterator[bytes]:
    """Yield the content of consecutive gzip members; zlib verifies each one's checksum."""
    inflater, data = zlib.decompressobj(31), b""
    while True:
        data = data or span.read(CHUNK)
        if not data:
            break
        if inflater.eof:
            inflater = zlib.decompressobj(31)
        content = inflater.decompress(data, CHUNK)
        data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        if content:
            yield content
    while not inflater.eof and (content := inflater.decompress(b"", CHUNK)):
        yield content


class SeekableReader(io.RawIOBase):
    """A file of `size` bytes to read at any place; the next byte is at `_at`."""

    def __init__(self, size: int) -> None:
        self._size, self._at = size, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the offset of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a byte and return its offset."""
        base = (0, self._at, self._size)[whence]
        if base + offset < 0:
            raise ValueError("a place before the start")
        self._at = base + offset
        return self._at


class EntryReader(SeekableReader):
    """The content of one entry, seekable; `open_entry` adds a buffer.

    To go back in a compressed entry, it is read again from its start.
    """

    def __init__(self, form: Form, source: RangeSource, entry: FileEntry) -> None:
        super().__init__(entry.size)
        self._form, self._source, self._entry = form, source, entry
        self._start = entry.offset + header_length(form)
        self._chunks: Iterator[bytes] = iter(())
        self._left, self._decoded = memoryview(b""), -1

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill `buffer` with some of the next bytes and return their number."""
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        data = self._stored(wanted) if self._entry.stored else self._forward(wanted)
        if not data:
            raise damaged(self._source.name, f"{self._entry.name} ends early")
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _stored(self, wanted: int) -> bytes:
        at, in_one_piece = content_position(self._form, self._at)
        return self._source.read_at(self._start + at, min(wanted, in_one_piece))

    def _forward(self, wanted: int) -> memoryview:
        if not 0 <= self._decoded <= self._at:
            self._chunks = unpacked(self._form, self._source, self._start, self._entry.end)
            self._left, self._decoded = memoryview(b""), 0
        while self._decoded + len(self._left) <= self._at:
            self._decoded += len(self._left)
            self._left = memoryview(next(self._chunks, b""))
            if not self._left:
                return self._left
        self._left = self._left[self._at - self._decoded :]
        self._decoded = self._at
        return self._left[:wanted]


class _OwnDescriptor(EntryReader):
    """An entry with a duplicate of the file's descriptor."""

    def __init__(self, form: Form, source: FileSource, entry: FileEntry) -> None:
        self._own = FileSource(source.name, os.dup(source.descriptor))
        super().__init__(form, self._own, entry)

    def close(self) -> None:
        """Close the descriptor."""
        if not self.closed:
            os.close(self._own.descriptor)
        super().close()


def open_entry(form: Form, source: FileSource, entry: FileEntry) -> BinaryIO:
    """Return the content of an entry as a seekable file, which may outlive `source`.

    Reading raises ArchiveDamaged when the entry is broken.
    """
    return io.BufferedReader(_OwnDescriptor(form, source, entry), CHUNK)


def read_entry(form: Form, source: RangeSource, entry: FileEntry, limit: int) -> bytes:
    """Return all content of an entry; raise ArchiveDamaged when it exceeds `limit` bytes."""
    if entry.size > limit:
        raise damaged(source.name, f"{entry.name} has {entry.size} bytes")
    return io.BufferedReader(EntryReader(form, source, entry), CHUNK).read(entry.size)
