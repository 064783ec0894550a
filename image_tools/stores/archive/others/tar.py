"""The entries of a foreign tar: every field is bounded, and no file is created by its name.

POSIX.1-2001 (ustar, pax) and GNU tar. The tarfile module is not used: it reads headers of any
length into memory, and raises many kinds of exceptions for broken ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from image_tools.stores.archive.content import damaged
from image_tools.stores.archive.file.framing import BLOCK, padded
from image_tools.stores.archive.file.reading import CHUNK, FileSource

LONGEST_NAME = 4096
_LONGEST_EXTENSION = 1 << 20
_LARGEST = 1 << 53
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_DECIMAL = re.compile(r"[0-9]{1,19}")
_RECORD = re.compile(rb"([1-9][0-9]{0,6}) ")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Kind(Enum):
    """The kinds of entries; devices and pipes are refused."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Member:
    """One entry: its name from the top of the archive, `size` in bytes, a link's target."""

    name: str
    kind: Kind
    size: int = 0
    target: str = ""


class Stream(Protocol):
    """The bytes of a tar, forward."""

    @property
    def name(self) -> str:
        """Return the archive's path, for messages."""

    def read(self, most: int) -> bytes:
        """Return up to `most` of the next bytes, none at the end."""

    def skip(self, count: int) -> None:
        """Skip `count` bytes; raise ArchiveDamaged when there are fewer."""


class PlainStream:
    """A tar that is not compressed: skipped bytes are not read."""

    def __init__(self, source: FileSource) -> None:
        self.name, self._source, self._at, self._size = source.name, source, 0, source.size()

    def read(self, most: int) -> bytes:
        data = self._source.read_at(self._at, min(most, CHUNK))
        self._at += len(data)
        return data

    def skip(self, count: int) -> None:
        if count > self._size - self._at:
            raise _early(self.name)
        self._at += count


class UnpackedStream:
    """A tar from a decompressor."""

    def __init__(self, name: str, chunks: Iterator[bytes]) -> None:
        self.name, self._chunks, self._left = name, chunks, b""

    def read(self, most: int) -> bytes:
        data = self._left or next(self._chunks, b"")
        self._left = data[most:]
        return data[:most]

    def skip(self, count: int) -> None:
        while count:
            data = self.read(min(count, CHUNK))
            if not data:
                raise _early(self.name)
            count -= len(data)


class Body:
    """The content of the current entry of a walk; what is not read is skipped."""

    def __init__(self, stream: Stream, size: int) -> None:
        self._stream, self._left, self._padding = stream, size, padded(size) - size

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            data = self._stream.read(min(self._left, CHUNK))
            if not data:
                raise _early(self._stream.name)
            self._left -= len(data)
            yield data

    def end(self) -> None:
        """Go to the next entry."""
        self._stream.skip(self._left + self._padding)
        self._left = self._padding = 0


@dataclass(slots=True)
class _ExtendedHeader:
    """The values of extended headers, for the entry that follows them."""

    name: str | None = None
    target: str | None = None
    size: int | None = None
    seen: int = field(default=0)


def walk(stream: Stream) -> Iterator[tuple[Member, Body]]:
    """Yield all entries in order, to the end of the archive.

    Raise ArchiveDamaged when an entry is broken, is no file, folder or link, or would lie outside.
    """
    said = _ExtendedHeader()
    while True:
        block = _exactly(stream, BLOCK)
        if not any(block):
            return
        _check(stream.name, block)
        size, kind = _number(stream.name, block[124:136]), block[156:157]
        if kind in b"xLKg":
            _extend(stream, said, kind, size)
            continue
        member = _member(stream.name, block, said, size)
        said = _ExtendedHeader()
        body = Body(stream, member.size)
        yield member, body
        body.end()


def _check(name: str, block: bytes) -> None:
    stated = _number(name, block[148:156])
    if stated != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        raise damaged(name, "it is no tar, or the header of an entry was changed")


def _member(name: str, block: bytes, said: _ExtendedHeader, size: int) -> Member:
    kind, own = block[156:157], said.name if said.name is not None else _own_name(name, block)
    size = size if said.size is None else said.size
    if kind in (b"0", b"\0", b"7") and not own.endswith("/"):
        return Member(path_inside(name, own), Kind.FILE, size)
    if size:
        raise damaged(name, f"its entry {own[:200]!r} is no file and has {size} bytes")
    if kind in (b"0", b"\0", b"5"):
        return Member(path_inside(name, own, or_top=True), Kind.FOLDER)
    if kind not in (b"1", b"2"):
        raise damaged(name, f"its entry {own[:200]!r} is no file, folder or link")
    target = said.target if said.target is not None else _text(name, block[157:257])
    where = path_inside(name, own)
    if kind == b"1":
        return Member(where, Kind.LINK, target=path_inside(name, target))
    return Member(where, Kind.LINK, target=link_target(name, where, target))


def _own_name(name: str, block: bytes) -> str:
    own = _text(name, block[:100])
    prefix = _text(name, block[345:500]) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{own}" if prefix else own


def path_inside(name: str, path: str, *, or_top: bool = False) -> str:
    """Return `path` normalized; raise ArchiveDamaged when it leads out of the archive."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    strange = path.startswith("/") or ".." in parts or _CONTROL.search(path)
    if strange or len(path) > LONGEST_NAME or not (parts or or_top):
        raise damaged(name, f"its entry {path[:200]!r} would lie outside of it, or nowhere")
    return "/".join(parts)


def link_target(name: str, place: str, target: str) -> str:
    """Return the target of a symbolic link at `place`; raise ArchiveDamaged for one outside."""
    parts = place.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            if not parts:
                break
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    else:
        if parts and not target.startswith("/") and len(target) <= LONGEST_NAME:
            return "/".join(parts)
    raise damaged(name, f"its link {place!r} leads outside, to {target[:200]!r}")


def _extend(stream: Stream, said: _ExtendedHeader, kind: bytes, size: int) -> None:
    """Read an extended header: pax (x, g), GNU's long name (L) or long link (K)."""
    said.seen += 1
    if size > _LONGEST_EXTENSION or said.seen > 8:
        raise damaged(stream.name, "the extended header of an entry is too long")
    content = _exactly(stream, padded(size))[:size]
    if kind == b"L":
        said.name = _text(stream.name, content)
    elif kind == b"K":
        said.target = _text(stream.name, content)
    else:
        _take_records(stream.name, said, content, for_all=kind == b"g")


def _take_records(name: str, said: _ExtendedHeader, content: bytes, *, for_all: bool) -> None:
    for key, value in _records(name, content):
        if key.startswith("GNU.sparse") or (for_all and key in ("path", "linkpath", "size")):
            raise damaged(name, f"an extended header says {key}, which no image archive needs")
        if key == "path":
            said.name = value
        elif key == "linkpath":
            said.target = value
        elif key == "size":
            if not _DECIMAL.fullmatch(value) or int(value) > _LARGEST:
                raise damaged(name, f"an entry has {value[:30]!r} bytes")
            said.size = int(value)


def _records(name: str, content: bytes) -> Iterator[tuple[str, str]]:
    """Yield the records of a pax header: length in decimal, a space, `key=value`, a line end."""
    at = 0
    while at < len(content):
        match = _RECORD.match(content, at)
        end = at + int(match[1]) if match else 0
        record = content[match.end() : end] if match else b""
        key, equals, value = record.partition(b"=")
        if not match or end > len(content) or not equals or not value.endswith(b"\n"):
            raise damaged(name, "the extended header of an entry is none")
        at = end
        if key in (b"path", b"linkpath", b"size") or key.startswith(b"GNU.sparse"):
            yield _text(name, key), _text(name, value[:-1], whole=True)


def _number(name: str, field: bytes) -> int:
    """Return a number of a header: octal, or GNU's base 256."""
    if field[0] == 0x80:
        found = int.from_bytes(field[1:], "big")
    else:
        match = _OCTAL.fullmatch(field)
        if match is None:
            raise damaged(name, "it is no tar, or the header of an entry was changed")
        found = int(match[1] or b"0", 8)
    if found > _LARGEST:
        raise damaged(name, f"an entry has {found} bytes")
    return found


def _text(name: str, content: bytes, *, whole: bool = False) -> str:
    """Return UTF-8 text, up to the first zero byte unless `whole`."""
    try:
        return (content if whole else content.partition(b"\0")[0]).decode()
    except UnicodeDecodeError as error:
        raise damaged(name, "the name of an entry is no UTF-8") from error


def _exactly(stream: Stream, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        data = stream.read(count - len(found))
        if not data:
            raise _early(stream.name)
        found += data
    return bytes(found)


def _early(name: str) -> Exception:
    return damaged(name, "it ends early")
