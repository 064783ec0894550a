"""The forms of an archive, a folder or files, and what each of them can do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import BinaryIO, NoReturn, Protocol, runtime_checkable

from image_tools.errors import ArchiveDamaged, NotFound
from image_tools.oci.digest import Digest


class Form(Enum):
    """How an archive lies on the disk; the values are the words of `--compress`."""

    FOLDER = "dir"
    TAR = "none"
    GZIP = "gzip"
    ZSTD = "zstd"

    @property
    def default_name(self) -> str:
        """Return the name of an archive of this form for which the user gave none."""
        return "saved-image-cache" if self is Form.FOLDER else f"saved-images{self.suffix}"

    @property
    def suffix(self) -> str:
        """Return the usual end of a file name; empty for a folder. Journals name the form by it."""
        return _SUFFIXES[self]


_SUFFIXES = {Form.FOLDER: "", Form.TAR: ".tar", Form.GZIP: ".tar.gz", Form.ZSTD: ".tar.zst"}
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
FILE_FORMS = (Form.TAR, Form.GZIP, Form.ZSTD)
_ENDINGS = {
    ".tar.gz": Form.GZIP,
    ".tgz": Form.GZIP,
    ".tar.zst": Form.ZSTD,
    ".tar.zstd": Form.ZSTD,
    ".tzst": Form.ZSTD,
    ".tar": Form.TAR,
}


def form_named(path: Path) -> Form | None:
    """Return the form that the end of a file name stands for, None for an unknown one."""
    name = path.name.lower()
    return next((form for ending, form in _ENDINGS.items() if name.endswith(ending)), None)


class BlobWriter(Protocol):
    """One blob on its way into an archive; ends with `finish` or `drop`. Many run at once."""

    def write(self, data: bytes) -> None:
        """Take the next bytes; raise DiskFull when there is no room for them."""

    def finish(self, digest: Digest) -> None:
        """Keep the blob durably, or drop it silently when the archive already has it.

        The caller has verified that the bytes have this digest.
        """

    def drop(self) -> None:
        """Discard the bytes. Does nothing after `finish`, and never raises."""


class Content(Protocol):
    """The bytes of an archive. Blocking, and safe for many threads at once.

    Failures of the disk are raised as DiskFull or another CopyFailed, and content that does not
    belong into an archive as ArchiveDamaged. Manifests and indexes are blobs like any other.
    """

    @property
    def name(self) -> str:
        """Return the path as the user gave it, for messages."""

    def index(self) -> bytes:
        """Return index.json as last published; empty for a new archive."""

    def size(self, digest: Digest) -> int | None:
        """Return the size of a blob in bytes, None when it is not in the archive."""

    def digests(self) -> Iterator[tuple[Digest, int]]:
        """Yield all blobs with their sizes in bytes, in no special order."""

    def open(self, digest: Digest) -> BinaryIO:
        """Return a blob's original bytes, seekable and not verified; raise NotFound."""

    def begin(self, size: int | None, *, compressible: bool) -> BlobWriter:
        """Begin a blob of `size` bytes, None when unknown; `compressible` ones are compressed."""

    def note(self, line: str) -> None:
        """Keep one line of text durably until the next `publish`, for a later run."""

    def notes(self) -> tuple[str, ...]:
        """Return the lines that an earlier, killed run left, in order."""

    def publish(self, index: bytes) -> None:
        """Make `index` the archive's index.json, durably and atomically, and drop the notes."""

    def close(self) -> None:
        """Close all files. Blobs that arrived without a `publish` stay for the next run."""


@runtime_checkable
class ReportsDamage(Protocol):
    """A content that checks more than its blobs: tar headers, padding, each piece by itself."""

    def verify(self) -> Iterator[tuple[Digest, str | None]]:
        """Yield each blob or piece and what is wrong with it, None for nothing; in file order."""


@runtime_checkable
class RemovesBlobs(Protocol):
    """A content from which single blobs can be removed."""

    def forget(self, digest: Digest) -> None:
        """Remove a blob that nothing leads to."""


class LostVolume(Protocol):
    """A volume that cannot be read; as text one line that says why, and how much was in it."""

    @property
    def blobs(self) -> frozenset[Digest]:
        """Return the blobs that were in it, wholly or in part."""


@runtime_checkable
class HasVolumes(Protocol):
    """A content in several files, of which some may be missing or damaged."""

    @property
    def lost(self) -> Sequence[LostVolume]:
        """Return the volumes that cannot be read."""


class ReportingBlobWriter:
    """A blob that `inner` writes unless `content` has it; `arrived` gets its digest and size."""

    def __init__(
        self, content: Content, inner: BlobWriter, arrived: Callable[[Digest, int], None]
    ) -> None:
        self._content, self._inner, self._arrived, self._size = content, inner, arrived, 0

    def write(self, data: bytes) -> None:
        self._inner.write(data)
        self._size += len(data)

    def finish(self, digest: Digest) -> None:
        if self._content.size(digest) is not None:
            self._inner.drop()
            return
        self._inner.finish(digest)
        self._arrived(digest, self._size)

    def drop(self) -> None:
        self._inner.drop()


def add_blob(
    content: Content, digest: Digest, size: int, chunks: Iterable[bytes], *, compressible: bool
) -> None:
    """Add the blob `digest` of `size` bytes to `content`; on any error it is dropped."""
    writer = content.begin(size, compressible=compressible)
    try:
        for chunk in chunks:
            writer.write(chunk)
        writer.finish(digest)
    except BaseException:
        writer.drop()
        raise


class EmptyContent:
    """The `Content` of an archive that does not exist yet, for dry runs: it takes nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def index(self) -> bytes:
        """Return no bytes."""
        return b""

    def size(self, _digest: Digest) -> int | None:
        """Return None."""
        return None

    def digests(self) -> Iterator[tuple[Digest, int]]:
        """Return an empty iterator."""
        return iter(())

    def open(self, digest: Digest) -> BinaryIO:
        """Raise NotFound."""
        raise NotFound(f"{self.name}: blob {digest} is not in it")

    def begin(self, _size: int | None, *, compressible: bool) -> NoReturn:
        """Raise NotImplementedError, as all writing does."""
        raise NotImplementedError(compressible)

    def note(self, line: str) -> None:
        raise NotImplementedError(line)

    def notes(self) -> tuple[str, ...]:
        """Return no lines."""
        return ()

    def publish(self, _index: bytes) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Do nothing."""


def damaged(archive: str, what: str) -> ArchiveDamaged:
    """Return the error of an archive that is not what it has to be, with advice."""
    advice = "copy it again from where it was made, or make it again with save"
    return ArchiveDamaged(f"{archive} is damaged: {what}", advice=advice)
