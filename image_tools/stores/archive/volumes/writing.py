"""Volumes that grow: which of them takes a blob, and when one is full."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from image_tools.errors import UsageError
from image_tools.stores.archive.content import Form, damaged
from image_tools.stores.archive.file.append_area import BlobPlace
from image_tools.stores.archive.file.archive_file import FileContent
from image_tools.stores.archive.file.blob_writers import StoredBlobWriter
from image_tools.stores.archive.file.framing import (
    BLOCK,
    header_length,
    longest_content,
    stored_length,
)
from image_tools.stores.archive.file.journal import Journal, journal_path
from image_tools.stores.archive.volumes.list import volume_numbers
from image_tools.stores.archive.volumes.set import clear, is_published, new_volume

SMALLEST_PART = 64 << 10
LAST_ENTRIES, _TABLE_LINE = 8 << 10, 800
"""The room for a volume's first and last entries, and for a blob's line in its table; bytes."""
_MOST_OPEN = 4
_FULL = 16
_SET = "set"


class VolumeWriting:
    """The unfinished volumes of one set. A `BlobSite`: a blob goes where there is room.

    Volumes that are full, with no blob on its way into them, are appended to `sealed`.
    """

    def __init__(
        self,
        place: tuple[Path, Form, str],
        part_size: int,
        journal: Journal,
        sealed: list[FileContent],
        growing: Sequence[FileContent],
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
        """Return the name that the volumes share."""
        return str(self._base)

    def fits(self, size: int) -> bool:
        """Return whether an empty volume has room for `size` bytes, even badly compressed."""
        frames = header_length(self.form) + stored_length(self.form, size)
        return frames + size // 256 + BLOCK <= self._part_size - LAST_ENTRIES - _TABLE_LINE

    def reserve(self, length: int) -> BlobPlace:
        with self.lock:
            for content in self.growing:
                if self.room(content) >= length:
                    return content.append_area().reserve(length)
            return self.begin().append_area().reserve(length)

    def room(self, content: FileContent) -> int:
        """Return how long the next entry of a volume may be, in bytes."""
        area = content.append_area()
        lines = len(area.entries) + area.on_their_way + 1
        return self._part_size - area.end - LAST_ENTRIES - _TABLE_LINE * lines

    def begin(self) -> FileContent:
        """Return a new volume behind all others."""
        self._number += 1
        content = new_volume(self._base, self.form, self._set_id, self._number)
        self.growing.append(content)
        return content

    def piece(self, left: int) -> tuple[StoredBlobWriter, int]:
        """Return a writer for the next piece of a blob with `left` bytes, and the piece's size."""
        with self.lock:
            content = self._with_room()
            length = self.room(content) - header_length(self.form)
            size = min(left, longest_content(self.form, length))
            return StoredBlobWriter(content.append_area(), size), size

    def _with_room(self) -> FileContent:
        """Return a volume for a piece: one that is not nearly full."""
        enough = (c for c in self.growing if self.room(c) > self._part_size // _FULL)
        return next(enough, None) or self.begin()

    def settle(self) -> None:
        """Finish the volumes that are full and have no blob on its way into them."""
        with self.lock:
            idle = [content for content in self.growing[:-1] if _is_idle(content)]
            idle.sort(key=self.room)
            for number, content in enumerate(idle):
                too_many = len(idle) - number > _MOST_OPEN
                if too_many or self.room(content) < self._part_size // _FULL:
                    self.seal(content)

    def seal(
        self, content: FileContent, index: bytes | None = None, volumes: bytes | None = None
    ) -> None:
        """Finish a volume; an empty one is removed unless it is the last."""
        if volumes is None and not content.append_area().entries:
            self.growing.remove(content)
            content.close()
            return
        content.seal(index, volumes)
        # In this order no reader of both lists, growing ones first, misses it.
        self._sealed.append(content)
        self.growing.remove(content)


def _is_idle(content: FileContent) -> bool:
    area = content.append_area()
    return not area.on_their_way and bool(area.entries)


@dataclass(frozen=True, slots=True)
class _JournalStart:
    """The first line of the journal: the form, the set, and the last volume before the run."""

    form: str
    set_id: str
    first: int


def set_journal(base: Path, form: Form, set_id: str) -> tuple[Journal, str]:
    """Return the journal of what is written to an archive in volumes, and the id of the set.

    `set_id` is that of the set to add to; empty for a new archive. Then the set is that of a killed
    run, or a new one, and old volumes are removed. Raise UsageError when the journal is about
    another set or form. The caller has locked the file.
    """
    journal = Journal.open(journal_path(base))
    said = _parsed(journal)
    if said and is_published(base, said.set_id, said.first):
        journal.close()
        os.truncate(journal.path, 0)
        journal, said = Journal.open(journal.path), None
    if said is None:
        return journal, _begun(journal, base, form, set_id)
    if said.form != form.suffix or set_id not in ("", said.set_id):
        journal.close()
        raise UsageError(
            f"{base} was begun by another run, as {said.form}",
            advice=f"finish that run, or remove {journal.path}",
        )
    return journal, said.set_id


def _begun(journal: Journal, base: Path, form: Form, set_id: str) -> str:
    """Write the first line of an empty journal and return the id of the set."""
    if not set_id:
        clear(base)
        set_id = secrets.token_hex(16)
    first = max(volume_numbers(base), default=0)
    journal.append(_SET, f"{form.suffix} {set_id} {first}")
    return set_id


def _parsed(journal: Journal) -> _JournalStart | None:
    if not journal.entries:
        return None
    kind, text = journal.entries[0]
    form, _, rest = text.partition(" ")
    set_id, _, first = rest.partition(" ")
    if kind != _SET or not first.isdecimal():
        raise damaged(str(journal.path), "it does not begin as the journal of volumes")
    return _JournalStart(form, set_id, int(first))
