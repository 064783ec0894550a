"""How an archive file ends: the table of contents, tar's end of archive, and the footer.

The footer finds the table. It is the last thing in the file, of one length for each form; in plain
tar it is the last block of the table's own data, before the end of archive.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass

from image_tools.stores.archive.file.framing import (
    BLOCK,
    END_OF_TAR,
    Compressed,
    Packing,
    end_frame,
    footer_frame,
    header_frame,
)
from image_tools.stores.archive.file.toc import CONTENTS, Table, table_bytes

_FOOTER = struct.Struct("<8sIQQQ32s")
_CHECK = struct.Struct("<I")
_MAGIC, _VERSION = b"imgtools", 1
_PAYLOAD_LENGTH = 2 * (_FOOTER.size + _CHECK.size) + 2


@dataclass(frozen=True, slots=True)
class Footer:
    """Where the table is: `offset` and `length` of its frames, `size` and sha256 of its text."""

    offset: int
    length: int
    size: int
    sha256: bytes


def table_end(form: Packing, table: Table, offset: int) -> bytes:
    """All that ends a file whose entries end at `offset`: table, end of archive, footer."""
    text = table_bytes(table)
    frame = _table_frame(form, text)
    footer = Footer(offset, len(frame), len(text), hashlib.sha256(text).digest())
    return frame + ending(form, footer)


def _table_frame(form: Packing, text: bytes) -> bytes:
    header = table_header(form, len(text))
    if form is Packing.TAR:
        return header + text
    frame = Compressed(form)
    return header + frame.encode(text) + frame.end()


def table_header(form: Packing, size: int) -> bytes:
    """The header frame of a table of `size` bytes; in plain tar the footer is its last block."""
    return header_frame(form, CONTENTS, size + (BLOCK if form is Packing.TAR else 0))


def ending(form: Packing, footer: Footer) -> bytes:
    """What follows the table in the file, `ending_length` bytes."""
    packed = _FOOTER.pack(
        _MAGIC, _VERSION, footer.offset, footer.length, footer.size, footer.sha256
    )
    packed += _CHECK.pack(zlib.crc32(packed))
    payload = b'"%s"' % packed.hex().encode()
    if form is Packing.TAR:
        return payload.ljust(BLOCK - 1) + b"\n" + END_OF_TAR
    return end_frame(form) + footer_frame(form, payload)


def ending_length(form: Packing) -> int:
    """The length of what follows the table."""
    return len(ending(form, Footer(0, 0, 0, bytes(32))))


def parse_ending(form: Packing, data: bytes) -> Footer | None:
    """The footer in the last `ending_length` bytes of a file; None when there is none of ours."""
    start = data.find(b'"') if form is Packing.TAR else data.find(b'"', len(end_frame(form)))
    packed = _unhex(data[start + 1 : start + _PAYLOAD_LENGTH - 1])
    if start < 0 or len(packed) != _FOOTER.size + _CHECK.size:
        return None
    _, _, offset, length, size, sha256 = _FOOTER.unpack(packed[: _FOOTER.size])
    footer = Footer(offset, length, size, sha256)
    return footer if ending(form, footer) == data else None


def _unhex(text: bytes) -> bytes:
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        return b""
