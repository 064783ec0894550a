"""An archive to which lost and damaged blobs are brought again, to their old places if possible."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Protocol, runtime_checkable

from image_tools.errors import ArchiveDamaged, CopyFailed, NotFound
from image_tools.machine.files import MIB, disk_errors, flush, open_file, write_at
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import (
    LAYOUT,
    BlobWriter,
    Content,
    Form,
    HasVolumes,
    LostVolume,
    ReportingBlobWriter,
    add_blob,
)
from image_tools.stores.archive.file.archive_file import FileContent
from image_tools.stores.archive.file.framing import Compressed, Stored, header_frame, header_length
from image_tools.stores.archive.file.reading import CHUNK
from image_tools.stores.archive.file.toc import LAYOUT_NAME, FileEntry
from image_tools.stores.archive.verify import verify
from image_tools.stores.archive.volumes.set import find_remains
from image_tools.stores.archive.volumes.volumes import VolumesContent
from image_tools.stores.archive.volumes.writing import SMALLEST_PART


@dataclass(frozen=True, slots=True)
class DamagedEntry:
    """A damaged entry of a file: a blob, or a piece of one."""

    file: FileContent
    entry: FileEntry

    def mend(self, blob: IO[bytes], compressed: Callable[[Form], Compressed] = Compressed) -> None:
        """Write the entry again, from the right bytes of the whole blob.

        It keeps its length, so that nothing else in the file changes. Raise CopyFailed when the
        disk refuses, ArchiveDamaged when the entry cannot have its old length.
        """
        place = self.file.path.parent
        with disk_errors(self.file.name), tempfile.TemporaryFile(dir=place) as frame:
            self._encode(blob, frame, compressed)
            room = self.entry.length - header_length(self.file.form)
            if frame.tell() != room:
                raise ArchiveDamaged(
                    f"{self.file.name}: {self.entry.name} cannot be mended in its place: it is"
                    " compressed otherwise now",
                    advice="make the archive anew with --replace",
                )
            self._write(frame)
        if self.file.entry_problem(self.entry) is not None:
            raise CopyFailed(f"{self.file.name}: what was just written is damaged: trust no disk")

    def _encode(
        self, blob: IO[bytes], frame: BinaryIO, compressed: Callable[[Form], Compressed]
    ) -> None:
        entry, form = self.entry, self.file.form
        blob.seek(entry.piece.start if entry.piece else 0)
        left = entry.size
        plain, packed = Stored(form, left), None if entry.stored else compressed(form)
        while left and (data := blob.read(min(CHUNK, left))):
            left -= len(data)
            frame.writelines([packed.encode(data)] if packed else plain.encode(data))
        frame.writelines([packed.end()] if packed else plain.end())

    def _write(self, frame: BinaryIO) -> None:
        entry, form = self.entry, self.file.form
        descriptor = open_file(self.file.path, os.O_RDWR)
        try:
            at = write_at(descriptor, [header_frame(form, entry.name, entry.size)], entry.offset)
            frame.seek(0)
            while data := frame.read(CHUNK):
                at = write_at(descriptor, [data], at)
            flush(descriptor)
        finally:
            os.close(descriptor)


Damage = Mapping[Digest, tuple[DamagedEntry, ...]]


@runtime_checkable
class _InFiles(Protocol):
    """A content in one archive file, or in several."""

    @property
    def files(self) -> tuple[FileContent, ...]:
        """Return the files."""


def damage(content: Content) -> Damage:
    """Return the damaged blobs of an archive, with their entries where it is in files.

    Reads all of it. A damaged `oci-layout` is mended at once.
    """
    if not isinstance(content, _InFiles):
        return {digest: () for digest, problem in verify(content) if problem is not None}
    found: dict[Digest, tuple[DamagedEntry, ...]] = {}
    for file in content.files:
        for entry in file.body():
            if file.entry_problem(entry) is None:
                continue
            damaged = DamagedEntry(file, entry)
            if entry.name == LAYOUT_NAME:
                damaged.mend(io.BytesIO(LAYOUT))
            else:
                digest = entry.piece.blob if entry.piece else entry.digest
                found[digest] = (*found.get(digest, ()), damaged)
    return found


def repairing_volumes(path: Path, part_size: int | None) -> VolumesContent:
    """Return an archive in volumes, to add to; without an index where its last volume is lost.

    Only then `part_size` counts, in bytes; None is the size of the biggest volume that is left.
    Raises ArchiveDamaged when no volume is whole, AlreadyRunning when another process writes it.
    """
    try:
        content = VolumesContent.reading(path)
    except ArchiveDamaged:
        known = find_remains(path, part_size)
        content = VolumesContent(path, known.form, max(known.part_size, SMALLEST_PART), known)
    content.writing()
    return content


class RepairingContent:
    """`content` in which `damaged` blobs count as absent until they are brought again.

    `fetched` are the blobs that were brought, with their sizes in bytes.
    """

    def __init__(self, content: Content, damaged: Damage) -> None:
        self.content, self.name = content, content.name
        self.damaged = dict(damaged)
        self.fetched: dict[Digest, int] = {}
        self._staging = any(damaged.values())

    def index(self) -> bytes:
        return self.content.index()

    def size(self, digest: Digest) -> int | None:
        return None if digest in self.damaged else self.content.size(digest)

    def digests(self) -> Iterator[tuple[Digest, int]]:
        found = tuple(self.content.digests())
        return iter([(digest, size) for digest, size in found if digest not in self.damaged])

    def open(self, digest: Digest) -> BinaryIO:
        if digest in self.damaged:
            raise NotFound(f"{self.name}: blob {digest} is damaged")
        return self.content.open(digest)

    def begin(self, size: int | None, *, compressible: bool) -> BlobWriter:
        """See `Content`. A blob's digest is known only at its end, so it may be staged."""
        if self._staging:
            return _StagedBlobWriter(self, compressible=compressible)
        inner = self.content.begin(size, compressible=compressible)
        return ReportingBlobWriter(self, inner, self.arrived)

    def note(self, line: str) -> None:
        self.content.note(line)

    def notes(self) -> tuple[str, ...]:
        return self.content.notes()

    def publish(self, index: bytes) -> None:
        self.content.publish(index)

    def close(self) -> None:
        self.content.close()

    @property
    def lost(self) -> Sequence[LostVolume]:
        return self.content.lost if isinstance(self.content, HasVolumes) else ()

    def arrived(self, digest: Digest, size: int) -> None:
        """Note that a blob was brought that was absent."""
        self.damaged.pop(digest, None)
        self.fetched[digest] = size


class _StagedBlobWriter:
    """A blob in a file beside the archive: its place may be that of a damaged one."""

    def __init__(self, content: RepairingContent, *, compressible: bool) -> None:
        self._content, self._compressible, self._size = content, compressible, 0
        folder = str(Path(content.name).parent)
        self._file = tempfile.SpooledTemporaryFile(MIB, dir=folder)  # noqa: SIM115

    def write(self, data: bytes) -> None:
        with disk_errors(self._content.name):
            self._file.write(data)
        self._size += len(data)

    def finish(self, digest: Digest) -> None:
        content = self._content
        with self._file:
            if content.size(digest) is not None:
                return
            for entry in content.damaged.get(digest, ()):
                entry.mend(self._file)
            # Of a blob in pieces, some may be in a volume that is lost.
            if content.content.size(digest) is None:
                self._pass_on(digest)
            content.arrived(digest, self._size)

    def _pass_on(self, digest: Digest) -> None:
        self._file.seek(0)
        chunks = iter(lambda: self._file.read(CHUNK), b"")
        inner = self._content.content
        add_blob(inner, digest, self._size, chunks, compressible=self._compressible)

    def drop(self) -> None:
        self._file.close()
