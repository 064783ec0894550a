"""The table of contents of an archive file: which entry is where.

It is the last real entry, `contents.jsonl`: a first line about the file, then one JSON object per
entry.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from image_tools.errors import ArchiveDamaged, InvalidReference
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import Form, damaged
from image_tools.stores.archive.file.framing import (
    BLOCK,
    header_length,
    padded,
    stored_length,
)

LAYOUT_NAME, INDEX, CONTENTS, VOLUMES = "oci-layout", "index.json", "contents.jsonl", "volumes.json"
BIGGEST_TABLE = 64 << 20
_LONGEST_LINE = 4096
_MOST = 1 << 62
_VERSION = 1
_KEYS = frozenset({"name", "offset", "length", "size", "digest", "stored"})
_PIECE_KEYS = _KEYS | {"blob", "start", "whole"}
_SET = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of a blob that is too big for one volume: from byte `start`, of `whole`."""

    blob: Digest
    start: int
    whole: int


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file in an archive file.

    `offset` and `length` in bytes are those of its frames, `size` and `digest` those of its
    content, which is `stored` when it is not compressed.
    """

    name: str
    offset: int
    length: int
    size: int
    digest: Digest
    stored: bool
    piece: Piece | None = None

    @property
    def end(self) -> int:
        """Return the offset at which the next entry begins."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class VolumeNumber:
    """Which of several files this one is: `number` from 1, `set_id` the same in all of them."""

    set_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Table:
    """The entries of an archive file in order, and its volume number if it is one of several."""

    entries: tuple[FileEntry, ...]
    volume: VolumeNumber | None = None


def blob_name(digest: Digest) -> str:
    """Return the name of a blob in an image layout (OCI image spec, image-layout.md, "Blobs")."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def piece_name(piece: Piece, size: int) -> str:
    """Return the name of a piece; sorted by name and concatenated, the pieces are the blob."""
    return f"{blob_name(piece.blob)}.{piece.start:020d}-{piece.start + size:020d}"


def table_bytes(table: Table) -> bytes:
    """Return the text of the table, padded to tar's blocks.

    Raise ArchiveDamaged when it is longer than what is read.
    """
    lines = [json.dumps(line, separators=(",", ":")) for line in _lines(table)]
    text = "\n".join(lines).encode()
    text = text.ljust(padded(len(text) + 1) - 1) + b"\n"
    if len(text) > BIGGEST_TABLE:
        raise ArchiveDamaged(
            f"{len(table.entries)} blobs are too many for one archive",
            advice="divide the list",
        )
    return text


def _lines(table: Table) -> Iterator[dict[str, Any]]:
    first: dict[str, Any] = {"image-tools": "contents", "version": _VERSION}
    if table.volume:
        first |= {"set": table.volume.set_id, "volume": table.volume.number}
    yield first
    yield from map(entry_value, table.entries)


def entry_value(entry: FileEntry) -> dict[str, Any]:
    """Return an entry as a JSON object."""
    value: dict[str, Any] = {
        "name": entry.name,
        "offset": entry.offset,
        "length": entry.length,
        "size": entry.size,
        "digest": str(entry.digest),
        "stored": entry.stored,
    }
    if entry.piece:
        piece = entry.piece
        value |= {"blob": str(piece.blob), "start": piece.start, "whole": piece.whole}
    return value


def parse_table(archive: str, form: Form, text: bytes, end: int) -> Table:
    """Return the table written in `text`, for a file whose entries end at byte `end`.

    Raise ArchiveDamaged unless every entry begins where the one before ends, and all names differ.
    """
    try:
        lines = iter(_values(text))
        volume = _volume(next(lines, None))
        return Table(tuple(_checked((parse_entry(form, line) for line in lines), end)), volume)
    except (ValueError, InvalidReference, RecursionError) as error:
        raise damaged(archive, f"its table of contents: {error}") from error


def _values(text: bytes) -> Iterator[Any]:
    stream = io.BytesIO(text)
    while line := stream.readline(_LONGEST_LINE + BLOCK):
        if line.strip():
            yield json.loads(line)


def _volume(value: Any) -> VolumeNumber | None:
    if not isinstance(value, dict) or value.get("image-tools") != "contents":
        raise ValueError("it does not begin as one")
    if value.get("version") != _VERSION:
        raise ValueError("written by a newer version of this program")
    if "set" not in value and "volume" not in value:
        return None
    set_id, number = value.get("set"), whole_number(value.get("volume"))
    if not isinstance(set_id, str) or not _SET.fullmatch(set_id):
        raise ValueError("a volume of no known set")
    return VolumeNumber(set_id, number)


def whole_number(value: object) -> int:
    """Return `value` if it is a number of bytes; raise ValueError."""
    if type(value) is not int or not 0 <= value <= _MOST:
        raise ValueError("a size or place that is no number")
    return value


def some_text(value: object) -> str:
    """Return `value` if it is text; raise ValueError."""
    if not isinstance(value, str):
        raise ValueError("a name that is no text")
    return value


def parse_entry(form: Form, value: Any) -> FileEntry:
    """Return the entry in a JSON object; raise ValueError or InvalidReference."""
    if not isinstance(value, dict) or value.keys() not in (_KEYS, _PIECE_KEYS):
        raise ValueError("an entry of unknown shape")
    digest, piece = Digest.parse(some_text(value["digest"])), _piece(value)
    offset, length, size = (whole_number(value[key]) for key in ("offset", "length", "size"))
    stored = value["stored"] is True
    entry = FileEntry(some_text(value["name"]), offset, length, size, digest, stored, piece)
    whole = (blob_name(digest), LAYOUT_NAME, INDEX, VOLUMES)
    if entry.name not in ((piece_name(piece, size),) if piece else whole):
        raise ValueError(f"an entry of the name {entry.name[:200]!r}")
    content = entry.length - header_length(form)
    if content < 0 or (entry.stored and content != stored_length(form, entry.size)):
        raise ValueError(f"the length of {entry.name}")
    if piece and piece.start + entry.size > piece.whole:
        raise ValueError(f"the size of {entry.name}")
    return entry


def _piece(value: dict[str, Any]) -> Piece | None:
    if "blob" not in value:
        return None
    start, whole = whole_number(value["start"]), whole_number(value["whole"])
    return Piece(Digest.parse(some_text(value["blob"])), start, whole)


def _checked(entries: Iterable[FileEntry], end: int) -> Iterator[FileEntry]:
    """Yield the entries; each one's place and name is compared with those before it."""
    at, names = 0, set[str]()
    for entry in entries:
        if entry.offset != at:
            raise ValueError(f"{entry.name} does not begin where the entry before it ends")
        if entry.name in names:
            raise ValueError(f"{entry.name} is there twice")
        at = entry.end
        names.add(entry.name)
        yield entry
    if at != end:
        raise ValueError("its entries do not reach to its own place")
