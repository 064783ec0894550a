"""Read the entries of a foreign archive: from a tar, compressed or not, or from a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from image_tools.errors import ArchiveDamaged, UsageError
from image_tools.stores.archive.content import LAYOUT, Form, damaged
from image_tools.stores.archive.file.framing import BLOCK, form_of, header_frame
from image_tools.stores.archive.file.reading import CHUNK, FileSource, unpacked
from image_tools.stores.archive.file.toc import LAYOUT_NAME
from image_tools.stores.archive.others.tar import (
    Kind,
    Member,
    PlainStream,
    UnpackedStream,
    link_target,
    path_inside,
    walk,
)

_OTHERS = {
    b"PK\x03\x04": "a zip file",
    b"BZh": "packed with bzip2",
    b"\xfd7zXZ": "packed with xz",
}


EntryContent = Iterable[bytes]


class ForeignArchive(Protocol):
    """The entries of an archive, which can be walked several times."""

    @property
    def name(self) -> str:
        """Return the archive's path."""

    @property
    def packed(self) -> bool:
        """Return whether walking the entries means reading and unpacking everything."""

    def members(self) -> Iterator[tuple[Member, EntryContent]]:
        """Yield all entries in order; raise ArchiveDamaged where it is broken."""

    def close(self) -> None:
        """Close its file."""


class TarSource:
    """A tar in a file: plain, gzip or zstd."""

    def __init__(self, path: Path, descriptor: int, form: Form) -> None:
        self.name, self.packed, self._form = str(path), form is not Form.TAR, form
        self._source = FileSource(self.name, descriptor)

    @property
    def begins_as_ours(self) -> bool:
        """Return whether its first entry is that of this program's archives, byte for byte."""
        first = header_frame(self._form, LAYOUT_NAME, len(LAYOUT))
        return self._source.read_at(0, len(first)) == first

    def members(self) -> Iterator[tuple[Member, EntryContent]]:
        source = self._source
        if self.packed:
            chunks = unpacked(self._form, source, 0, source.size())
            return walk(UnpackedStream(self.name, chunks))
        return walk(PlainStream(source))

    def close(self) -> None:
        os.close(self._source.descriptor)


class FolderSource:
    """A folder; its links are reported and never followed."""

    packed = False

    def __init__(self, path: Path) -> None:
        self.name, self._path = str(path), path

    def members(self) -> Iterator[tuple[Member, EntryContent]]:
        for folder, _, names, descriptor in os.fwalk(self._path):
            top = Path(folder).relative_to(self._path).as_posix()
            for name in sorted(names):
                yield self._member(f"{top}/{name}", name, descriptor)

    def _member(self, path: str, name: str, folder: int) -> tuple[Member, EntryContent]:
        place = path_inside(self.name, path)
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                target = link_target(self.name, place, os.readlink(name, dir_fd=folder))
                return Member(place, Kind.LINK, target=target), ()
        except OSError as error:
            raise damaged(self.name, f"{place}: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode):
            raise damaged(self.name, f"{place} is no file, folder or link")
        return Member(place, Kind.FILE, found.st_size), self._content(place, name, folder)

    def _content(self, place: str, name: str, folder: int) -> Iterator[bytes]:
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file:
                yield from iter(lambda: file.read(CHUNK), b"")
        except OSError as error:
            raise damaged(self.name, f"{place}: {error.strerror}") from error

    def close(self) -> None:
        """See `ForeignArchive`."""


@contextmanager
def opened_source(path: Path) -> Iterator[ForeignArchive]:
    """Open the entries of what lies at `path`; raise UsageError when it can hold no images."""
    source = FolderSource(path) if path.is_dir() else _opened_file(path)
    try:
        yield source
    finally:
        source.close()


def _opened_file(path: Path) -> TarSource:
    try:
        if not path.is_file():
            raise UsageError(f"{path} is no file and no folder")
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ArchiveDamaged(f"{path} cannot be read: {error.strerror}") from error
    start = FileSource(str(path), descriptor).read_at(0, BLOCK)
    form = form_of(start)
    if form is None:
        os.close(descriptor)
        raise _unknown(path, start)
    source = TarSource(path, descriptor, form)
    if source.begins_as_ours:
        source.close()
        raise damaged(str(path), "it is of this program, and cut off")
    return source


def _unknown(path: Path, start: bytes) -> ArchiveDamaged:
    known: Iterable[str] = (what for magic, what in _OTHERS.items() if start.startswith(magic))
    return ArchiveDamaged(
        f"{path} is no archive of this program, and no tar"
        + "".join(f": it is {what}" for what in known),
        advice="known are .tar, .tar.gz and .tar.zst with an OCI image layout or of docker save,"
        " and the folders of such",
    )
