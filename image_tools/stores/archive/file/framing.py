"""The bytes of an archive file, entry by entry: each can be read without those before it.

An entry is a tar entry in two frames: its tar header, then its content padded to tar's blocks. The
header has a frame of its own, of fixed length, because a blob's name (its digest) is known only
when all of it has arrived: the header is written last, into the place kept for it.

Content that cannot be compressed is stored: in gzip as stored deflate blocks (RFC 1951, 3.2.4), in
zstd as raw blocks (RFC 8878, 3.1.1.2). They have fixed sizes, so that the place of each byte in the
file can be computed.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import zstandard

from image_tools.stores.archive.content import Form

BLOCK = 512
END_OF_TAR = bytes(2 * BLOCK)
_PAX, _FILE = b"x", b"0"
_BIGGEST_USTAR = 8**11 - 1
_GZIP_HEADER = bytes.fromhex("1f8b08000000000000ff")
_GZIP_EXTRA = bytes.fromhex("1f8b08040000000000ff")
_GZIP_NOTHING = bytes.fromhex("0300") + bytes(8)
_ZSTD_MAGIC = bytes.fromhex("28b52ffd")
_ZSTD_CONTENT_SIZE = 0xC0
_ZSTD_WINDOW_128K = 7 << 3
_ZSTD_SKIPPED = 0x184D2A5A
_SUBFIELD = b"it"
_GZIP_LEVEL, _ZSTD_LEVEL = 6, 3


@dataclass(frozen=True, slots=True)
class _Geometry:
    """The number of bytes in a stored frame before, between and behind its content."""

    before: int
    block: int
    block_header: int
    behind: int


_GEOMETRY = {
    Form.TAR: _Geometry(0, 1 << 62, 0, 0),
    Form.GZIP: _Geometry(len(_GZIP_HEADER), 65535, 5, 8),
    Form.ZSTD: _Geometry(len(_ZSTD_MAGIC) + 10, 1 << 17, 3, 0),
}
HEADER = 3 * BLOCK
"""The size of every tar header of ours: a pax header, its records, and the ustar header."""


def padded(size: int) -> int:
    """Return `size` rounded up to tar's blocks of 512 bytes."""
    return -(-size // BLOCK) * BLOCK


def tar_header(name: str, size: int) -> bytes:
    """Return the tar header of a file: `HEADER` bytes of POSIX.1-2001 (pax), for any name and size.

    Raise ValueError when the name is too long for that.
    """
    records = _record("path", name) + _record("size", str(size))
    if len(records) > BLOCK:
        raise ValueError(f"the name {name!r} is too long for an archive")
    short = name.encode()[:100]
    plain = _ustar(short, size if size <= _BIGGEST_USTAR else 0, _FILE)
    return _ustar(b"PaxHeaders/" + short[:80], len(records), _PAX) + _blocks(records) + plain


def _record(key: str, value: str) -> bytes:
    """Return one pax record: its own length in decimal, then `key=value` and a line end."""
    rest = f" {key}={value}\n".encode()
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def _blocks(data: bytes) -> bytes:
    return data.ljust(padded(len(data)), b"\0")


def _ustar(name: bytes, size: int, kind: bytes) -> bytes:
    """Return one ustar header: mode 0644, owner root, time 0, so that archives are reproducible.

    Not `TarInfo.tobuf`: the bytes of its device numbers depend on the version of Python.
    """
    who = b"0000644\0" + b"0000000\0" * 2
    front = name.ljust(100, b"\0") + who + b"%011o\0" % size + b"%011o\0" % 0
    rear = kind + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2
    total = sum(front) + sum(rear) + 8 * ord(" ")
    return (front + b"%06o\0 " % total + rear).ljust(BLOCK, b"\0")


def header_frame(form: Form, name: str, size: int) -> bytes:
    """Return the frame of an entry's tar header: `header_length` bytes."""
    return stored(form, tar_header(name, size))


def header_length(form: Form) -> int:
    """Return the length of every header frame of this form, in bytes."""
    return stored_length(form, HEADER)


def end_frame(form: Form) -> bytes:
    """Return the frame of tar's end of archive: two blocks of zeros."""
    return stored(form, END_OF_TAR)


def stored(form: Form, content: bytes) -> bytes:
    """Return one stored frame of `content`, padded."""
    frame = Stored(form, len(content))
    return b"".join((*frame.encode(content), *frame.end()))


def stored_length(form: Form, size: int) -> int:
    """Return the length of a stored frame of `size` bytes of content; there is none for 0 bytes."""
    shape, total = _GEOMETRY[form], padded(size)
    blocks = -(-total // shape.block)
    return shape.before + blocks * shape.block_header + total + shape.behind if total else 0


def longest_content(form: Form, length: int) -> int:
    """Return the size of the longest content, in tar blocks, with a stored frame of that length."""
    shape = _GEOMETRY[form]
    inside = length - shape.before - shape.behind
    blocks = -(-inside // (shape.block + shape.block_header))
    return max(inside - blocks * shape.block_header, 0) // BLOCK * BLOCK


def content_position(form: Form, offset: int) -> tuple[int, int]:
    """Return where byte `offset` of the content is in its frame, and how many follow in one piece.

    The padding counts as content here.
    """
    shape = _GEOMETRY[form]
    blocks, within = divmod(offset, shape.block)
    return shape.before + (blocks + 1) * shape.block_header + offset, shape.block - within


class Stored:
    """A stored frame as it grows, of content whose size is known before."""

    def __init__(self, form: Form, size: int) -> None:
        self._form, self._shape = form, _GEOMETRY[form]
        self._size, self._total, self._at, self._crc = size, padded(size), 0, 0

    def encode(self, data: bytes | memoryview) -> list[bytes | memoryview]:
        """Return the next bytes of the frame, in pieces that share memory with `data`."""
        pieces: list[bytes | memoryview] = []
        if self._form is Form.GZIP:
            self._crc = zlib.crc32(data, self._crc)
        view = memoryview(data)
        while view:
            within = self._at % self._shape.block
            if not within:
                pieces.append(self._opening())
            piece = view[: self._shape.block - within]
            pieces.append(piece)
            self._at += len(piece)
            view = view[len(piece) :]
        return pieces

    def end(self) -> list[bytes | memoryview]:
        """Return the last bytes of the frame, behind all content: padding and checksum."""
        pieces = self.encode(bytes(self._total - self._size))
        if self._form is Form.GZIP and self._total:
            pieces.append(struct.pack("<II", self._crc, self._total & 0xFFFFFFFF))
        return pieces

    def _opening(self) -> bytes:
        """Return the header of the next block; for the first, behind that of the frame."""
        length = min(self._shape.block, self._total - self._at)
        last = self._at + length == self._total
        if self._form is Form.GZIP:
            start, block = _GZIP_HEADER, struct.pack("<BHH", last, length, length ^ 0xFFFF)
        elif self._form is Form.ZSTD:
            start, block = self._zstd_start(), struct.pack("<I", length << 3 | last)[:3]
        else:
            start, block = b"", b""
        return block if self._at else start + block

    def _zstd_start(self) -> bytes:
        sizes = struct.pack("<BBQ", _ZSTD_CONTENT_SIZE, _ZSTD_WINDOW_128K, self._total)
        return _ZSTD_MAGIC + sizes


class Compressed:
    """A compressed frame as it grows: deflate level 6, zstd level 3. Plain tar has none."""

    def __init__(self, form: Form) -> None:
        self._size = 0
        self._compressor = (
            zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31)
            if form is Form.GZIP
            else zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compressobj()
        )

    def encode(self, data: bytes) -> bytes:
        """Return the next bytes of the frame, often none."""
        self._size += len(data)
        return self._compressor.compress(data)

    def end(self) -> bytes:
        """Return the last bytes of the frame, including the padding."""
        padding = bytes(padded(self._size) - self._size)
        return self._compressor.compress(padding) + self._compressor.flush()


def footer_frame(form: Form, payload: bytes) -> bytes:
    """Return `payload` wrapped so that unpacking tools skip it; nothing for plain tar.

    gzip: an extra field in an empty member (RFC 1952, 2.3.1.1). zstd: a skippable frame (RFC 8878,
    3.1.2).
    """
    if form is Form.GZIP:
        field = _SUBFIELD + struct.pack("<H", len(payload)) + payload
        return _GZIP_EXTRA + struct.pack("<H", len(field)) + field + _GZIP_NOTHING
    if form is Form.ZSTD:
        return struct.pack("<II", _ZSTD_SKIPPED, len(payload)) + payload
    return b""


def form_of(start: bytes) -> Form | None:
    """Return the form of a file that begins with `start` (a block), by its magic number."""
    if start.startswith(_GZIP_HEADER[:2]):
        return Form.GZIP
    if start.startswith(_ZSTD_MAGIC):
        return Form.ZSTD
    return Form.TAR if start[257:262] == b"ustar" else None
