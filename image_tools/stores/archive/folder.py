"""An archive as a folder: an OCI image layout (image spec, image-layout.md)."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from image_tools.errors import ArchiveDamaged, InvalidReference, NotFound
from image_tools.machine.files import MIB, disk_errors, flush, replace_file, sync_folder
from image_tools.machine.locks import locked_file
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import LAYOUT
from image_tools.stores.archive.file.journal import Journal

LONGEST_INDEX = 64 << 20
_LAYOUT_VERSION = "1.0.0"
_OWN = ".image-tools"
_NOTE = "note"


class FolderContent:
    """The `Content` of a folder; everything but blobs and index is in a folder of its own in it.

    A blob is there when a file of its name is, because the file is renamed once it is on the disk.
    Nothing outside is read or written: links are no blobs. If not `trusting`, an old blob counts
    only when its bytes have its digest.
    """

    def __init__(self, path: Path, *, name: str, writing: bool, trusting: bool = True) -> None:
        self.name = name
        self._trusting, self._sound = trusting, set[Digest]()
        self._path, self._own, self._blobs = path, path / _OWN, path / "blobs"
        self._lock = threading.Lock()
        self._journal: Journal | None = None
        self._guard: int | None = None
        self._is_new = False
        with disk_errors(name):
            _refuse_links(path, name)
            if writing:
                self._is_new = not path.exists()
                path.mkdir(parents=True, exist_ok=True)
                self._guard = locked_file(path, os.O_RDONLY | os.O_DIRECTORY)
            self._notes = self._left_behind() if writing else ()

    def index(self) -> bytes:
        """See `Content`. Raise ArchiveDamaged when it is longer than 64 MiB."""
        try:
            with self._opened(self._path / "index.json") as file:
                content = file.read(LONGEST_INDEX + 1)
        except FileNotFoundError:
            return b""
        if len(content) > LONGEST_INDEX:
            raise ArchiveDamaged(f"{self.name}: index.json has more than 64 MiB")
        return content

    def size(self, digest: Digest) -> int | None:
        try:
            found = self._place(digest).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(found.st_mode) or not self._is_sound(digest):
            return None
        return found.st_size

    def _is_sound(self, digest: Digest) -> bool:
        if self._trusting or digest in self._sound:
            return True
        hasher = digest.hasher()
        with self.open(digest) as file:
            while piece := file.read(MIB):
                hasher.update(piece)
        if hasher.hexdigest() == digest.hex:
            self._sound.add(digest)
        return digest in self._sound

    def digests(self) -> Iterator[tuple[Digest, int]]:
        """See `Content`. Files whose names are no digests are skipped."""
        for folder in _folders(self._blobs):
            for path in folder.iterdir():
                with suppress(InvalidReference):
                    digest = Digest.parse(f"{folder.name}:{path.name}")
                    if (size := self.size(digest)) is not None:
                        yield digest, size

    def open(self, digest: Digest) -> BinaryIO:
        try:
            return self._opened(self._place(digest))
        except FileNotFoundError as error:
            raise NotFound(f"{self.name}: blob {digest} is not in it") from error

    def begin(self, size: int | None, *, compressible: bool) -> FolderBlobWriter:  # noqa: ARG002
        """See `Content`. The blob is in a file with a temporary name."""
        with disk_errors(self.name, size):
            return FolderBlobWriter(self, self._own, size)

    def keep(self, path: Path, digest: Digest) -> None:
        """Rename the complete file `path` to the name of `digest`, durably."""
        place = self._place(digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
        sync_folder(place.parent)
        self._sound.add(digest)

    def note(self, line: str) -> None:
        with disk_errors(self.name):
            with self._lock:
                if self._journal is None:
                    self._journal = Journal.open(self._own / "journal")
            self._journal.append(_NOTE, line)

    def notes(self) -> tuple[str, ...]:
        return self._notes

    def publish(self, index: bytes) -> None:
        with disk_errors(self.name):
            self._replace("oci-layout", LAYOUT)
            self._replace("index.json", index)
            if self._journal is not None:
                self._journal.remove()
                self._journal = None
            _emptied(self._own)
            self._trusting = True

    def forget(self, digest: Digest) -> None:
        with disk_errors(self.name):
            self._place(digest).unlink(missing_ok=True)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if self._guard is not None:
            self._tidy()
            os.close(self._guard)
            self._guard = None

    def _tidy(self) -> None:
        """Remove empty folders; where blobs wait for an index, our own folder has to stay."""
        for path in () if self._has_index() else (*_folders(self._blobs), self._blobs):
            with suppress(OSError):
                path.rmdir()
        if self._has_index() or not self._blobs.exists():
            with suppress(OSError):
                self._own.rmdir()
        if self._is_new:
            with suppress(OSError):
                self._path.rmdir()

    def _has_index(self) -> bool:
        return (self._path / "index.json").exists()

    def _place(self, digest: Digest) -> Path:
        return self._blobs / digest.algorithm / digest.hex

    def _left_behind(self) -> tuple[str, ...]:
        """Remove the partial blobs of a killed run, and return its notes."""
        self._own.mkdir(mode=0o700, exist_ok=True)
        for path in self._own.glob("*.blob"):
            path.unlink(missing_ok=True)
        if not (self._own / "journal").exists():
            return ()
        self._journal = Journal.open(self._own / "journal")
        return tuple(text for kind, text in self._journal.entries if kind == _NOTE)

    def _replace(self, name: str, content: bytes) -> None:
        self._own.mkdir(mode=0o700, exist_ok=True)
        replace_file(self._path / name, content, temporary=self._own / f"{name}.new")

    def _opened(self, path: Path) -> BinaryIO:
        """Open a regular file, without following a link or waiting for a pipe."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ArchiveDamaged(f"{self.name}: {path.name}: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ArchiveDamaged(f"{self.name}: {path.name} is no file")
        return os.fdopen(descriptor, "rb")


class FolderBlobWriter:
    """One blob on its way into a folder."""

    def __init__(self, content: FolderContent, folder: Path, size: int | None) -> None:
        self._content, self._size, self._written = content, size, 0
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder, suffix=".blob")
        self._file, self._path = os.fdopen(descriptor, "wb", buffering=0), Path(name)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        with disk_errors(self._content.name, self._left()):
            while rest:
                count = self._file.write(rest)
                self._written += count
                rest = rest[count:]

    def finish(self, digest: Digest) -> None:
        """See `BlobWriter`. Replaces a blob that may be damaged."""
        with disk_errors(self._content.name, self._left()):
            os.fchmod(self._file.fileno(), 0o644)
            flush(self._file.fileno())
            self._file.close()
            self._content.keep(self._path, digest)

    def _left(self) -> int | None:
        return None if self._size is None else self._size - self._written

    def drop(self) -> None:
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def is_layout(path: Path) -> bool:
    """Return whether `path` is a folder with an image layout in it, finished or not."""
    return (path / "oci-layout").is_file() or (path / _OWN).is_dir()


def check_layout(path: Path) -> None:
    """Raise ArchiveDamaged unless `path` holds an image layout of version 1.0.0."""
    try:
        with (path / "oci-layout").open("rb") as file:
            document = json.loads(file.read(4096))
        version = document["imageLayoutVersion"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise ArchiveDamaged(
            f"{path} is no image layout: its oci-layout cannot be read",
            advice="a save that did not end leaves this: run it again with the same list",
        ) from error
    if version != _LAYOUT_VERSION:
        raise ArchiveDamaged(f"{path} has the layout version {version!r}, known is 1.0.0")


def _refuse_links(path: Path, name: str) -> None:
    blobs = path / "blobs"
    for place in (path / _OWN, blobs, *(_folders(blobs) if blobs.is_dir() else ())):
        if place.is_symlink():
            raise ArchiveDamaged(
                f"{name}: {place.relative_to(path)} is a link",
                advice="an archive lies in one folder: put what it leads to in its place",
            )


def _folders(blobs: Path) -> list[Path]:
    return [blobs / name for name in ("sha256", "sha512") if os.path.lexists(blobs / name)]


def _emptied(folder: Path) -> None:
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):
            path.unlink()
