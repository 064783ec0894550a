"""The end of an archive file: index.json, the table of contents, end of archive, and the footer.

The footer says where the table is. It is the last thing in the file, of one length for each form;
in plain tar it is the last block of the table's own data, before the end of archive.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass

from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import Form, damaged
from image_tools.stores.archive.file.framing import (
    BLOCK,
    END_OF_TAR,
    Compressed,
    end_frame,
    footer_frame,
    form_of,
    header_frame,
    header_length,
    stored,
)
from image_tools.stores.archive.file.reading import RangeSource, read_entry, unpacked
from image_tools.stores.archive.file.toc import (
    BIGGEST_TABLE,
    CONTENTS,
    INDEX,
    VOLUMES,
    FileEntry,
    Table,
    parse_table,
    table_bytes,
)

BIGGEST_INDEX = 64 << 20
_FOOTER = struct.Struct("<8sIQQQ32s")
_CHECK = struct.Struct("<I")
_MAGIC, _VERSION = b"imgtools", 1
_PAYLOAD_LENGTH = 2 * (_FOOTER.size + _CHECK.size) + 2
_NOTHING = Digest.of(b"")


@dataclass(frozen=True, slots=True)
class Footer:
    """Where the table is: `offset` and `length` of its frames, `size` and sha256 of its text."""

    offset: int
    length: int
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Trailer:
    """The part of a finished file that is read when it is opened.

    `body` is all before index.json and the list of volumes; it ends at byte `start`. A volume that
    is not the last of its set has neither of the two. `table_digest` is of the table's text.
    """

    form: Form
    body: Table
    start: int
    index: bytes | None
    volumes: bytes | None = None
    table_digest: Digest = _NOTHING


def trailer_bytes(trailer: Trailer) -> bytes:
    """Return everything behind the body of a file."""
    form, frames, entries = trailer.form, b"", trailer.body.entries
    for name, content in ((VOLUMES, trailer.volumes), (INDEX, trailer.index)):
        if content is not None:
            is_stored = form is Form.TAR or not content
            packed = stored(form, content) if is_stored else _compressed(form, content)
            frame = header_frame(form, name, len(content)) + packed
            place = trailer.start + len(frames), len(frame)
            entries += (FileEntry(name, *place, len(content), Digest.of(content), is_stored),)
            frames += frame
    table = Table(entries, trailer.body.volume)
    return frames + table_end(form, table, trailer.start + len(frames))


def _compressed(form: Form, content: bytes) -> bytes:
    frame = Compressed(form)
    return frame.encode(content) + frame.end()


def table_end(form: Form, table: Table, offset: int) -> bytes:
    """Return the end of a file whose entries end at `offset`: table, end of archive, footer."""
    text = table_bytes(table)
    packed = text if form is Form.TAR else _compressed(form, text)
    frame = _table_header(form, len(text)) + packed
    footer = Footer(offset, len(frame), len(text), hashlib.sha256(text).digest())
    return frame + ending(form, footer)


def _table_header(form: Form, size: int) -> bytes:
    # In plain tar the footer is the table's last block.
    return header_frame(form, CONTENTS, size + (BLOCK if form is Form.TAR else 0))


def ending(form: Form, footer: Footer) -> bytes:
    """Return what follows the table in the file: `ending_length` bytes."""
    packed = _FOOTER.pack(
        _MAGIC, _VERSION, footer.offset, footer.length, footer.size, footer.sha256
    )
    packed += _CHECK.pack(zlib.crc32(packed))
    payload = b'"%s"' % packed.hex().encode()
    if form is Form.TAR:
        return payload.ljust(BLOCK - 1) + b"\n" + END_OF_TAR
    return end_frame(form) + footer_frame(form, payload)


def ending_length(form: Form) -> int:
    """Return the length of what follows the table, in bytes."""
    return len(ending(form, Footer(0, 0, 0, bytes(32))))


def parse_ending(form: Form, data: bytes) -> Footer | None:
    """Return the footer in the last `ending_length` bytes of a file, None if it is not ours."""
    start = data.find(b'"') if form is Form.TAR else data.find(b'"', len(end_frame(form)))
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


def read_trailer(
    source: RangeSource,
    size: int,
    form: Form | None = None,
    *,
    biggest_index: int = BIGGEST_INDEX,
    biggest_table: int = BIGGEST_TABLE,
) -> Trailer | None:
    """Return the trailer of a file of `size` bytes, None if it is not ours.

    `form` is given where it cannot be read from the first bytes of `source`. Raise ArchiveDamaged
    when the trailer is damaged, or bigger than the two limits in bytes.
    """
    form = form or form_of(source.read_at(0, BLOCK))
    if form is None:
        return None
    length = ending_length(form)
    footer = parse_ending(form, source.read_at(max(size - length, 0), length))
    if footer is None:
        return None
    if footer.offset + footer.length + length != size:
        raise damaged(source.name, f"it has {size} bytes, and should have others")
    text = _table_text(form, source, footer, biggest_table)
    table = parse_table(source.name, form, text, footer.offset)
    last = [entry for entry in table.entries if entry.name in (VOLUMES, INDEX)]
    body = table.entries[: len(table.entries) - len(last)]
    if (*body, *last) != table.entries or not (last or table.volume) or not body:
        raise damaged(source.name, f"{INDEX} is not where it has to be")
    found = {entry.name: _content(form, source, entry, biggest_index) for entry in last}
    return Trailer(
        form=form,
        body=Table(body, table.volume),
        start=body[-1].end,
        index=found.get(INDEX),
        volumes=found.get(VOLUMES),
        table_digest=Digest.of(text),
    )


def _content(form: Form, source: RangeSource, entry: FileEntry, limit: int) -> bytes:
    content = read_entry(form, source, entry, limit)
    if Digest.of(content) != entry.digest:
        raise damaged(source.name, f"{entry.name} is not what it was")
    return content


def _table_text(form: Form, source: RangeSource, footer: Footer, limit: int) -> bytes:
    """Return the text of the table, of the length and digest that the footer says."""
    if footer.size > limit or footer.length > 2 * limit:
        raise damaged(source.name, "its table of contents is too big")
    start, text = footer.offset + header_length(form), bytearray()
    for chunk in unpacked(form, source, start, footer.offset + footer.length):
        text += chunk
        if len(text) > footer.size:
            break
    header = source.read_at(footer.offset, header_length(form))
    if (
        hashlib.sha256(text).digest() != footer.sha256
        or len(text) != footer.size
        or header != _table_header(form, footer.size)
    ):
        raise damaged(source.name, "its table of contents is not what it was")
    return bytes(text)


def has_entry(form: Form, source: RangeSource, entry: FileEntry) -> bool:
    """Return whether a file has the header of `entry` at its place, and is long enough for it."""
    header = source.read_at(entry.offset, header_length(form))
    last = source.read_at(entry.end - 1, 1) if entry.length else b"."
    return bool(last) and header == header_frame(form, entry.name, entry.size)
