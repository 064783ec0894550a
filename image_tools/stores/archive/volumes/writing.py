"""Volumes that grow: which of them takes a blob, and when one is full."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from image_tools.errors import UsageError
from image_tools.stores.archive.file.framed import FramedContent
from image_tools.stores.archive.file.framing import (
    BLOCK,
    Packing,
    fitting,
    header_length,
    stored_length,
)
from image_tools.stores.archive.file.growing import BlobPlace
from image_tools.stores.archive.file.incoming import Direct
from image_tools.stores.archive.file.journal import Journal
from image_tools.stores.archive.volumes.list import volume_numbers
from image_tools.stores.archive.volumes.set import new_volume

SMALLEST_PART = 64 << 10
_ENDS, _ROW = 8 << 10, 800
"""What a volume needs for its first and last entries, and for a blob's line in its table."""
_MOST_OPEN = 4
_FULL = 16


class VolumeWriting:
    """The volumes of one set that are not finished. A `Site`: a blob goes where there is room.

    `sealed` gets those that are full, when nothing is on its way into them.
    """

    def __init__(
        self,
        place: tuple[Path, Packing, str],
        part_size: int,
        journal: Journal,
        sealed: list[FramedContent],
        growing: Sequence[FramedContent],
    ) -> None:
        if part_size < SMALLEST_PART:
            raise UsageError(f"volumes of {part_size} bytes are too small")
        self._base, self.form, self._set_id = place
        self._part_size, self.journal, self._sealed = part_size, journal, sealed
        self.growing = list(growing)
        self.lock = threading.RLock()
        begun = (content.volume.number for content in growing if content.volume)
        self._number = max((*volume_numbers(self._base), *begun), default=0)

    @property
    def name(self) -> str:
        """The name the volumes have in common."""
        return str(self._base)

    def fits(self, size: int) -> bool:
        """Whether a blob of `size` bytes has room in an empty volume, even badly compressed."""
        frames = header_length(self.form) + stored_length(self.form, size)
        return frames + size // 256 + BLOCK <= self._part_size - _ENDS - _ROW

    def reserve(self, length: int) -> BlobPlace:
        """See `Site`."""
        with self.lock:
            for content in self.growing:
                if self.room(content) >= length:
                    return content.growing().reserve(length)
            return self.begin().growing().reserve(length)

    def room(self, content: FramedContent) -> int:
        """How long the next entry of a volume may be."""
        growth = content.growing()
        lines = len(growth.entries) + growth.on_their_way + 1
        return self._part_size - growth.end - _ENDS - _ROW * lines

    def begin(self) -> FramedContent:
        """A new volume behind all others."""
        self._number += 1
        content = new_volume(self._base, self.form, self._set_id, self._number)
        self.growing.append(content)
        return content

    def piece(self, left: int) -> tuple[Direct, int]:
        """A place for the next piece of a blob of which `left` bytes are to come, and its size."""
        with self.lock:
            content = self._with_room()
            length = self.room(content) - header_length(self.form)
            size = min(left, fitting(self.form, length))
            return Direct(content.growing(), size), size

    def _with_room(self) -> FramedContent:
        """A volume for a piece: not one that is nearly full."""
        enough = (c for c in self.growing if self.room(c) > self._part_size // _FULL)
        return next(enough, None) or self.begin()

    def settle(self) -> None:
        """Finish the volumes that are full, when nothing is on its way into them."""
        with self.lock:
            idle = [content for content in self.growing[:-1] if _is_idle(content)]
            idle.sort(key=self.room)
            for number, content in enumerate(idle):
                too_many = len(idle) - number > _MOST_OPEN
                if too_many or self.room(content) < self._part_size // _FULL:
                    self.seal(content)

    def seal(
        self, content: FramedContent, index: bytes | None = None, volumes: bytes | None = None
    ) -> None:
        """Finish a volume; one without anything in it goes away when it is not the last."""
        if volumes is None and not content.growing().entries:
            self.growing.remove(content)
            content.close()
            return
        content.seal(index, volumes)
        # In this order nobody who looks at both, growing ones first, misses it.
        self._sealed.append(content)
        self.growing.remove(content)


def _is_idle(content: FramedContent) -> bool:
    growth = content.growing()
    return not growth.on_their_way and bool(growth.entries)
