"""An archive whose lost and damaged blobs are brought again, each to where it was if it can be."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from image_tools.errors import ArchiveDamaged, CopyFailed, NotFound
from image_tools.oci.digest import Digest
from image_tools.stores.archive.beside import opened
from image_tools.stores.archive.content import Content, Incoming
from image_tools.stores.archive.file.framed import FramedContent
from image_tools.stores.archive.file.framing import Compressed, Stored, header_frame, header_length
from image_tools.stores.archive.file.reading import CHUNK
from image_tools.stores.archive.file.toc import LAYOUT, FileEntry
from image_tools.stores.archive.file.writing import flush, refusals, write_at
from image_tools.stores.archive.folder import LAYOUT as LAYOUT_CONTENT
from image_tools.stores.archive.verifying import framed_problem, problem
from image_tools.stores.archive.volumes.set import find_remains
from image_tools.stores.archive.volumes.volumes import VolumesContent
from image_tools.stores.archive.volumes.writing import SMALLEST_PART

_IN_MEMORY = 1 << 20


@dataclass(frozen=True, slots=True)
class Spot:
    """A damaged entry of a file: a blob, or a piece of one."""

    file: FramedContent
    entry: FileEntry

    def mend(self, blob: IO[bytes]) -> None:
        """Write the entry again, from the right bytes of the whole blob.

        It stays as long as it was: nothing else in the file changes. CopyFailed when the disk
        refuses, ArchiveDamaged when the entry cannot have its old length.
        """
        with refusals(self.file.name), tempfile.TemporaryFile(dir=self.file.path.parent) as frame:
            self._encode(blob, frame)
            room = self.entry.length - header_length(self.file.form)
            if frame.tell() != room:
                raise ArchiveDamaged(
                    f"{self.file.name}: {self.entry.name} cannot be mended in its place: it is"
                    " compressed otherwise now",
                    advice="make the archive anew with --replace",
                )
            self._write(frame)
        if framed_problem(self.file, self.entry) is not None:
            raise CopyFailed(f"{self.file.name}: what was just written is damaged: trust no disk")

    def _encode(self, blob: IO[bytes], frame: BinaryIO) -> None:
        entry, form = self.entry, self.file.form
        blob.seek(entry.piece.start if entry.piece else 0)
        left = entry.size
        plain, packed = Stored(form, left), None if entry.stored else Compressed(form)
        while left and (data := blob.read(min(CHUNK, left))):
            left -= len(data)
            frame.writelines([packed.encode(data)] if packed else plain.encode(data))
        frame.writelines([packed.end()] if packed else plain.end())

    def _write(self, frame: BinaryIO) -> None:
        entry, form = self.entry, self.file.form
        descriptor = opened(self.file.path, os.O_RDWR)
        try:
            at = write_at(descriptor, [header_frame(form, entry.name, entry.size)], entry.offset)
            frame.seek(0)
            while data := frame.read(CHUNK):
                at = write_at(descriptor, [data], at)
            flush(descriptor)
        finally:
            os.close(descriptor)


Damage = Mapping[Digest, tuple[Spot, ...]]


def damage(content: Content) -> Damage:
    """The damaged blobs of an archive, all of which is read; in a folder there are no spots."""
    found: dict[Digest, tuple[Spot, ...]] = {}
    if isinstance(content, FramedContent):
        _add_damage(found, content)
    elif isinstance(content, VolumesContent):
        for part in content.parts:
            _add_damage(found, part)
    else:
        for digest, size in content.digests():
            if problem(content, digest, size) is not None:
                found[digest] = ()
    return found


def _add_damage(found: dict[Digest, tuple[Spot, ...]], file: FramedContent) -> None:
    for entry in file.files():
        if framed_problem(file, entry) is None:
            continue
        if entry.name == LAYOUT:
            Spot(file, entry).mend(io.BytesIO(LAYOUT_CONTENT))
        else:
            digest = entry.piece.blob if entry.piece else entry.digest
            found[digest] = (*found.get(digest, ()), Spot(file, entry))


def repairing_volumes(path: Path, part_size: int | None) -> VolumesContent:
    """An archive in volumes, to add to; without an index where its last volume is lost.

    Only then `part_size` counts, in bytes; None is the size of the biggest volume that is left.
    ArchiveDamaged when no volume is whole; AlreadyRunning when another process writes it.
    """
    try:
        content = VolumesContent.found(path)
    except ArchiveDamaged:
        known = find_remains(path, part_size)
        content = VolumesContent(path, known.form, max(known.part_size, SMALLEST_PART), known)
    content.writing()
    return content


class RepairingContent:
    """`content` to which `damaged` blobs come again: as if they were not there until they have.

    `fetched` are the blobs that came, with their sizes in bytes.
    """

    def __init__(self, content: Content, damaged: Damage) -> None:
        self.content, self.name = content, content.name
        self.damaged = dict(damaged)
        self.fetched: dict[Digest, int] = {}
        self._staging = any(damaged.values())

    def index(self) -> bytes:
        """See `Content`."""
        return self.content.index()

    def size(self, digest: Digest) -> int | None:
        """See `Content`."""
        return None if digest in self.damaged else self.content.size(digest)

    def digests(self) -> Iterator[tuple[Digest, int]]:
        """See `Content`."""
        found = tuple(self.content.digests())
        return iter([(digest, size) for digest, size in found if digest not in self.damaged])

    def open(self, digest: Digest) -> BinaryIO:
        """See `Content`."""
        if digest in self.damaged:
            raise NotFound(f"{self.name}: blob {digest} is damaged")
        return self.content.open(digest)

    def begin(self, size: int | None, *, compressible: bool) -> Incoming:
        """See `Content`. Which blob it is shows at its end: it may have to wait until then."""
        if self._staging:
            return _Staged(self, compressible=compressible)
        return _Counted(self, self.content.begin(size, compressible=compressible))

    def note(self, line: str) -> None:
        """See `Content`."""
        self.content.note(line)

    def notes(self) -> tuple[str, ...]:
        """See `Content`."""
        return self.content.notes()

    def publish(self, index: bytes) -> None:
        """See `Content`."""
        self.content.publish(index)

    def close(self) -> None:
        """See `Content`."""
        self.content.close()

    def arrived(self, digest: Digest, size: int) -> None:
        """Note that a blob has come that was not there."""
        self.damaged.pop(digest, None)
        self.fetched[digest] = size


class _Counted:
    """A blob on its way to a new place."""

    def __init__(self, content: RepairingContent, inner: Incoming) -> None:
        self._content, self._inner, self._size = content, inner, 0

    def write(self, data: bytes) -> None:
        """See `Incoming`."""
        self._inner.write(data)
        self._size += len(data)

    def finish(self, digest: Digest) -> None:
        """See `Incoming`."""
        if self._content.size(digest) is not None:
            self._inner.drop()
            return
        self._inner.finish(digest)
        self._content.arrived(digest, self._size)

    def drop(self) -> None:
        """See `Incoming`."""
        self._inner.drop()


class _Staged:
    """A blob that waits beside the archive: its place may be that of a damaged one."""

    def __init__(self, content: RepairingContent, *, compressible: bool) -> None:
        self._content, self._compressible, self._size = content, compressible, 0
        folder = str(Path(content.name).parent)
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=folder)  # noqa: SIM115

    def write(self, data: bytes) -> None:
        """See `Incoming`."""
        with refusals(self._content.name):
            self._file.write(data)
        self._size += len(data)

    def finish(self, digest: Digest) -> None:
        """See `Incoming`."""
        content = self._content
        with self._file:
            if content.size(digest) is not None:
                return
            spots = content.damaged.get(digest, ())
            for spot in spots:
                spot.mend(self._file)
            # Of a blob in pieces, some may be in a volume that is lost.
            if content.content.size(digest) is None:
                self._pass_on(digest)
            content.arrived(digest, self._size)

    def _pass_on(self, digest: Digest) -> None:
        incoming = self._content.content.begin(self._size, compressible=self._compressible)
        try:
            self._file.seek(0)
            while data := self._file.read(CHUNK):
                incoming.write(data)
            incoming.finish(digest)
        except BaseException:
            incoming.drop()
            raise

    def drop(self) -> None:
        """See `Incoming`."""
        self._file.close()
