"""The blobs of several volumes, whole ones and those in pieces."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

from image_tools.errors import NotFound
from image_tools.oci.digest import Digest
from image_tools.stores.archive.file.framed import FramedContent
from image_tools.stores.archive.volumes.pieces import PieceInVolume, chain, open_joined


class VolumeBlobs:
    """What is in the volumes that `parts` gives, now and later."""

    def __init__(self, parts: Callable[[], tuple[FramedContent, ...]]) -> None:
        self._parts = parts
        self._joined: dict[Digest, tuple[PieceInVolume, ...]] = {}
        self._joining = threading.Lock()

    def join(self) -> None:
        """Find the blobs in pieces of which all are there; when volumes or pieces were added."""
        # One at a time: what was found before another blob came must not replace what has it.
        with self._joining:
            self._joined = self._found()

    def _found(self) -> dict[Digest, tuple[PieceInVolume, ...]]:
        places: dict[Digest, list[PieceInVolume]] = {}
        for part in self._parts():
            for entry in part.entries():
                if entry.piece:
                    place = PieceInVolume(part, entry, entry.piece)
                    places.setdefault(entry.piece.blob, []).append(place)
        chains = {digest: chain(found) for digest, found in places.items()}
        return {digest: found for digest, found in chains.items() if found}

    def size(self, digest: Digest) -> int | None:
        """The size of a blob in bytes, None when it is not here."""
        for part in self._with(digest):
            return part.size(digest)
        found = self._joined.get(digest)
        return found[0].piece.whole if found else None

    def _with(self, digest: Digest) -> Iterator[FramedContent]:
        """The volumes that have a blob whole."""
        for part in self._parts():
            entry = part.find(digest)
            if entry and entry.piece is None:
                yield part

    def digests(self) -> Iterator[tuple[Digest, int]]:
        """All blobs with their sizes."""
        entries = [entry for part in self._parts() for entry in part.entries()]
        whole = {entry.digest: entry.size for entry in entries if entry.piece is None}
        joined = {digest: found[0].piece.whole for digest, found in self._joined.items()}
        return iter((joined | whole).items())

    def open(self, name: str, digest: Digest) -> BinaryIO:
        """The bytes of a blob, seekable; NotFound in archive `name` when it is not here."""
        for part in self._with(digest):
            return part.open(digest)
        if digest in self._joined:
            return open_joined(self._joined[digest])
        raise NotFound(f"{name} has no blob {digest}")
