"""The progress of a run: written from any thread, read by the display."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from image_tools.oci.digest import Digest
from image_tools.report import UNFINISHED, Status

_RATE_WINDOW = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state at one moment; `rate` in bytes per second over the last few seconds."""

    images_total: int = 0
    images_done: int = 0
    failed: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    rate: float = 0.0
    active: tuple[str, ...] = ()


class Progress:
    """The counters of one run; every method may be called from any thread.

    `bytes_source` gives the bytes moved so far and may be replaced once the exchange is up.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.bytes_source: Callable[[], int] = int
        self._clock = clock
        self._lock = threading.Lock()
        self._images_total = 0
        self._images_done = 0
        self._failed = 0
        self._bytes_total = 0
        self._expected: set[tuple[str, Digest]] = set()
        self._active: dict[str, str] = {}
        self._samples: deque[tuple[float, int]] = deque()

    def expect(self, images: int) -> None:
        """Announce `images` more images; interactive use calls this once per line."""
        with self._lock:
            self._images_total += images

    def plan(self, bytes_total: int) -> None:
        """Set the bytes that will have moved in the end."""
        with self._lock:
            self._bytes_total = bytes_total

    @contextmanager
    def expected(
        self, registry: str, blobs: Mapping[Digest, int], moved: Callable[[], int]
    ) -> Iterator[None]:
        """Inside, count `blobs` (sizes in bytes) as coming, each once per destination `registry`.

        Behind it only what really moved stays counted: `moved` bytes.
        """
        with self._lock:
            new = {(registry, digest): size for digest, size in blobs.items()}
            size = sum(size for key, size in new.items() if key not in self._expected)
            self._expected |= new.keys()
            self._bytes_total += size
        try:
            yield
        finally:
            with self._lock:
                self._bytes_total += moved() - size

    def begin(self, key: str, text: str) -> None:
        """Show `text` for the job `key` until `end(key)`."""
        with self._lock:
            self._active[key] = text

    def change(self, key: str, text: str) -> None:
        """Replace the text of a running job; a job that has ended stays ended."""
        with self._lock:
            if key in self._active:
                self._active[key] = text

    def end(self, key: str) -> None:
        """Take the job `key` off the display."""
        with self._lock:
            self._active.pop(key, None)

    def image_done(self, status: Status) -> None:
        """Count one image as finished, however it ended."""
        with self._lock:
            self._images_done += 1
            self._failed += status in UNFINISHED

    def snapshot(self) -> Snapshot:
        """Return the counters as they are now, active jobs in the order they began."""
        bytes_done = self.bytes_source()
        with self._lock:
            return Snapshot(
                images_total=self._images_total,
                images_done=self._images_done,
                failed=self._failed,
                bytes_done=bytes_done,
                bytes_total=self._bytes_total,
                rate=self._rate(bytes_done),
                active=tuple(self._active.values()),
            )

    def _rate(self, bytes_done: int) -> float:
        now = self._clock()
        self._samples.append((now, bytes_done))
        while len(self._samples) > 2 and now - self._samples[0][0] > _RATE_WINDOW:
            self._samples.popleft()
        (began, first), (ended, last) = self._samples[0], self._samples[-1]
        return max(0.0, (last - first) / (ended - began)) if ended > began else 0.0
