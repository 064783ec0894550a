"""Which places of an archive file are taken while blobs arrive in it side by side."""

from __future__ import annotations

from collections.abc import Iterable


class Extents:
    """The places behind `start`; `end` is the first byte behind all that are taken."""

    def __init__(self, start: int, taken: Iterable[tuple[int, int]] = ()) -> None:
        self.end = start
        self._holes: dict[int, int] = {}
        for offset, length in sorted(taken):
            if offset > self.end:
                self._holes[self.end] = offset - self.end
            self.end = offset + length

    @property
    def holes(self) -> tuple[tuple[int, int], ...]:
        """The offset and length of each place that was given back amid others."""
        return tuple(sorted(self._holes.items()))

    def reserve(self, length: int) -> int:
        """The offset of a place of `length` bytes.

        A hole of exactly this length is taken first: who comes back for a place is most often the
        blob that failed in it.
        """
        fitting = next((at for at, long in self._holes.items() if long == length), None)
        if fitting is not None:
            del self._holes[fitting]
            return fitting
        offset = self.end
        self.end += length
        return offset

    def release(self, offset: int, length: int) -> None:
        """Give a place back."""
        self._holes[offset] = length
        ends = {at + long: at for at, long in self._holes.items()}
        while self.end in ends:
            self.end = ends[self.end]
            del self._holes[self.end]
