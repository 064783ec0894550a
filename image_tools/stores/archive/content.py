"""What every form of archive, a folder or one file, can do: hold blobs and one index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Protocol

from image_tools.oci.digest import Digest


class Incoming(Protocol):
    """One blob on its way into an archive; ends with `finish` or `drop`. Many go at once."""

    def write(self, data: bytes) -> None:
        """Take the next bytes; DiskFull when there is no room for them."""

    def finish(self, digest: Digest) -> None:
        """Keep what was written, durably from now on; dropped silently when it is there already.

        That the bytes have this digest is what the caller has made sure of.
        """

    def drop(self) -> None:
        """Forget what was written; nothing after `finish`, and never raises."""


class Content(Protocol):
    """The bytes of an archive. Blocking, and safe for many threads at once.

    What the disk refuses is DiskFull or another CopyFailed; what an archive should not hold is
    ArchiveDamaged. Manifests and indexes are blobs like any other.
    """

    @property
    def name(self) -> str:
        """What people call it: its path as it was given."""

    def index(self) -> bytes:
        """The bytes of index.json as it was last published; empty for a new archive."""

    def size(self, digest: Digest) -> int | None:
        """The size of a blob in bytes, None when it is not here."""

    def digests(self) -> Iterator[tuple[Digest, int]]:
        """All blobs with their sizes, in no special order."""

    def open(self, digest: Digest) -> BinaryIO:
        """The original bytes of a blob, seekable, not verified; NotFound when it is not here."""

    def begin(self, size: int | None, *, compressible: bool) -> Incoming:
        """A new blob of `size` bytes, None when nobody knows; `compressible`: worth the time."""

    def note(self, line: str) -> None:
        """Keep one line of text durably until the next `publish`, for a run after this one."""

    def notes(self) -> tuple[str, ...]:
        """The lines that an earlier, killed run left behind, in their order."""

    def publish(self, index: bytes) -> None:
        """Make `index` the archive's index.json, durably and atomically; the notes are gone."""

    def close(self) -> None:
        """Give back all files; what arrived without a `publish` stays for the next run."""
