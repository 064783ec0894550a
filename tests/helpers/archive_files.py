"""Archive files for tests: filled, looked into, killed amid their work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import Content

INDEX = b'{"schemaVersion":2,"manifests":[]}'
WRITES = (
    (os, ("pwritev", "pwrite", "write", "ftruncate", "fsync", "fdatasync")),
    (Path, ("unlink", "rename", "replace")),
)


def add(content: Content, blob: bytes, *, known: bool = True, compressible: bool = False) -> Digest:
    """Put one blob into an archive, in three pieces; its digest."""
    incoming = content.begin(len(blob) if known else None, compressible=compressible)
    third = len(blob) // 3
    for piece in (blob[:third], blob[third : 2 * third], blob[2 * third :]):
        incoming.write(piece)
    incoming.finish(Digest.of(blob))
    return Digest.of(blob)


def blobs_of(content: Content) -> dict[Digest, bytes]:
    """All blobs of an archive, each verified."""
    found = {}
    for digest, size in content.digests():
        with content.open(digest) as file:
            found[digest] = file.read()
        digest.verify(found[digest])
        assert len(found[digest]) == size
    return found


def by_digest(*blobs: bytes) -> dict[Digest, bytes]:
    """What `blobs_of` gives of these."""
    return {Digest.of(blob): blob for blob in blobs}


class Killed(BaseException):
    """The process ends here; whatever it still tries to write fails, too."""


@contextmanager
def killed_at(step: int) -> Iterator[Callable[[], bool]]:
    """Inside, the process dies at its `step`-th change of the disk; gives whether it did.

    A write that dies leaves half of its bytes.
    """
    left, seen = [step], [False]

    def dying(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*words: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] >= 0:
                return real(*words, **named)
            if name == "pwritev" and not seen[0]:
                data = b"".join(words[1])
                os.pwrite.__wrapped__(words[0], data[: len(data) // 2], words[2])  # type: ignore[attr-defined]
            seen[0] = True
            raise Killed

        call.__wrapped__ = real  # type: ignore[attr-defined]
        return call

    with pytest.MonkeyPatch.context() as patch:
        for place, names in WRITES:
            for name in names:
                patch.setattr(place, name, dying(getattr(place, name), name))
        yield lambda: seen[0]
