"""How many bytes a run will have moved in the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from image_tools.oci.digest import Digest
from image_tools.run.line.job import Job
from image_tools.run.progress import Progress


class ExpectedBytes:
    """Adds up the bytes that are expected to move: each blob once per destination registry."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._seen: set[tuple[str, Digest]] = set()
        self._total = 0

    @contextmanager
    def expected(self, job: Job, blobs: Mapping[Digest, int]) -> Iterator[None]:
        """Count `blobs` as coming; in the end only what really moved stays counted."""
        registry = job.entry.destination.registry
        fresh = {d: size for d, size in blobs.items() if (registry, d) not in self._seen}
        self._seen |= {(registry, digest) for digest in fresh}
        size = sum(fresh.values())
        self._add(size)
        try:
            yield
        finally:
            self._add(job.account.bytes_written - size)

    def _add(self, size: int) -> None:
        self._total += size
        self._progress.plan(self._total)
