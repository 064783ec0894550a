"""What ends a finished archive file: its index.json and its table of contents.

While blobs are added to it, this tail is overwritten; before, it is saved in a file beside, from
which the archive is read as it was until all that is new is in its place.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from image_tools.machine.trusted_paths import refuse_planted
from image_tools.oci.digest import Digest
from image_tools.stores.archive.beside import journal_path, saved_path
from image_tools.stores.archive.file.footer import (
    Footer,
    ending_length,
    parse_ending,
    table_end,
    table_header,
)
from image_tools.stores.archive.file.framing import (
    BLOCK,
    Compressed,
    Packing,
    form_of,
    header_frame,
    header_length,
    stored,
)
from image_tools.stores.archive.file.journal import Journal, sync_folder
from image_tools.stores.archive.file.reading import (
    BytesSource,
    FileSource,
    RangeSource,
    read_entry,
    unpacked,
)
from image_tools.stores.archive.file.toc import (
    BIGGEST_TABLE,
    INDEX,
    VOLUMES,
    FileEntry,
    Table,
    damaged,
    parse_table,
)

BIGGEST_INDEX = 64 << 20
_SAVED = struct.Struct("<8sQ32s")
_MAGIC = b"imgtail1"
_BIGGEST_SAVED = 2 * BIGGEST_INDEX + 2 * BIGGEST_TABLE
_NOTHING = Digest.of(b"")


@dataclass(frozen=True, slots=True)
class Tail:
    """What is read of a finished file when it is opened.

    `body` is all before index.json and the list of volumes, and ends at byte `start`. A volume that
    is not the last of its set has neither of the two. `table_digest` is of the table's text.
    """

    form: Packing
    body: Table
    start: int
    index: bytes | None
    volumes: bytes | None = None
    table_digest: Digest = _NOTHING


def tail_bytes(tail: Tail) -> bytes:
    """All that comes behind the body of a file."""
    frames, entries = b"", tail.body.entries
    for name, content in ((VOLUMES, tail.volumes), (INDEX, tail.index)):
        if content is not None:
            frame = header_frame(tail.form, name, len(content)) + _packed(tail.form, content)
            is_stored = tail.form is Packing.TAR or not content
            place = tail.start + len(frames), len(frame)
            entries += (FileEntry(name, *place, len(content), Digest.of(content), is_stored),)
            frames += frame
    table = Table(entries, tail.body.volume)
    return frames + table_end(tail.form, table, tail.start + len(frames))


def _packed(form: Packing, content: bytes) -> bytes:
    if form is Packing.TAR or not content:
        return stored(form, content)
    frame = Compressed(form)
    return frame.encode(content) + frame.end()


def read_tail(source: RangeSource, size: int) -> Tail | None:
    """The tail of a file of `size` bytes; None when it has none of ours.

    ArchiveDamaged when it has one, and it is not whole.
    """
    form = form_of(source.read_at(0, BLOCK))
    return None if form is None else read_tail_of(form, source, size)


def read_tail_of(form: Packing, source: RangeSource, size: int) -> Tail | None:
    """The same for a file whose form is known."""
    length = ending_length(form)
    footer = parse_ending(form, source.read_at(max(size - length, 0), length))
    if footer is None:
        return None
    if footer.offset + footer.length + length != size:
        raise damaged(source.name, f"it has {size} bytes, and should have others")
    text = _table_text(form, source, footer)
    table = parse_table(source.name, form, text, footer.offset)
    ending = [entry for entry in table.entries if entry.name in (VOLUMES, INDEX)]
    body = table.entries[: len(table.entries) - len(ending)]
    if (*body, *ending) != table.entries or not (ending or table.volume) or not body:
        raise damaged(source.name, f"{INDEX} is not where it has to be")
    found = {entry.name: _content(form, source, entry) for entry in ending}
    return Tail(
        form=form,
        body=Table(body, table.volume),
        start=body[-1].end,
        index=found.get(INDEX),
        volumes=found.get(VOLUMES),
        table_digest=Digest.of(text),
    )


def _content(form: Packing, source: RangeSource, entry: FileEntry) -> bytes:
    content = read_entry(form, source, entry, BIGGEST_INDEX)
    if Digest.of(content) != entry.digest:
        raise damaged(source.name, f"{entry.name} is not what it was")
    return content


def _table_text(form: Packing, source: RangeSource, footer: Footer) -> bytes:
    """The text of the table, as long as the footer says, and of the digest it says."""
    if footer.size > BIGGEST_TABLE or footer.length > 2 * BIGGEST_TABLE:
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
        or header != table_header(form, footer.size)
    ):
        raise damaged(source.name, "its table of contents is not what it was")
    return bytes(text)


def _save_tail(path: Path, source: FileSource, start: int, size: int) -> None:
    """Keep the bytes of `path` from `start` to its end durably beside it."""
    data = b"".join(unpacked(Packing.TAR, source, start, size))
    if len(data) != size - start:
        raise damaged(source.name, "it ends early")
    saved = saved_path(path)
    new = saved.with_name(f"{saved.name}.new")
    refuse_planted(new)
    with new.open("wb") as file:
        file.write(_SAVED.pack(_MAGIC, start, hashlib.sha256(data).digest()) + data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(saved)
    sync_folder(path.parent)


def adding_journal(path: Path, source: FileSource, tail: Tail) -> Journal:
    """The journal of what is added to a finished file; before it is made, the tail is safe."""
    if saved_tail(path, source) is None:
        journal_path(path).unlink(missing_ok=True)
        _save_tail(path, source, tail.start, source.size())
    return Journal.open(journal_path(path))


def saved_tail(path: Path, source: FileSource) -> Tail | None:
    """The tail that was saved while blobs were added to `path`.

    None when there is none, or it is not one of the file that is there now.
    """
    found = _saved(path)
    form = form_of(source.read_at(0, BLOCK))
    if found is None or form is None:
        return None
    start, data = found
    tail = read_tail_of(form, BytesSource(source.name, start, data), start + len(data))
    return tail if tail and _belongs(source, tail) else None


def saved_bytes(path: Path) -> bytes:
    """The bytes of the tail that was saved; ArchiveDamaged when there are none."""
    found = _saved(path)
    if found is None:
        raise damaged(str(path), f"{saved_path(path)} is gone")
    return found[1]


def _saved(path: Path) -> tuple[int, bytes] | None:
    saved = saved_path(path)
    try:
        with saved.open("rb") as file:
            head, data = file.read(_SAVED.size), file.read(_BIGGEST_SAVED)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise damaged(str(path), f"{saved} cannot be read: {error.strerror}") from error
    if len(head) != _SAVED.size:
        return None
    magic, start, sha256 = _SAVED.unpack(head)
    if magic != _MAGIC or hashlib.sha256(data).digest() != sha256:
        return None
    return start, data


def _belongs(source: FileSource, tail: Tail) -> bool:
    """Whether the last entry before the tail is in the file."""
    return is_there(tail.form, source, tail.body.entries[-1])


def is_there(form: Packing, source: FileSource, entry: FileEntry) -> bool:
    """Whether a file has the header of this entry at its place, and is long enough for it."""
    header = source.read_at(entry.offset, header_length(form))
    last = source.read_at(entry.end - 1, 1) if entry.length else b"."
    return bool(last) and header == header_frame(form, entry.name, entry.size)
