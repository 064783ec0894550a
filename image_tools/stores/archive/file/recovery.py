"""The trailer of a finished archive file, kept in `FILE.tail` while blobs are added.

Blobs that are added overwrite the trailer. Until everything new is in place, the archive is read
with the one that was kept, as it was before.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from pathlib import Path

from image_tools.machine.files import replace_file
from image_tools.stores.archive.content import Form, damaged
from image_tools.stores.archive.file.framing import BLOCK, form_of
from image_tools.stores.archive.file.journal import Journal, journal_path, saved_path
from image_tools.stores.archive.file.reading import BytesSource, FileSource, unpacked
from image_tools.stores.archive.file.toc import BIGGEST_TABLE
from image_tools.stores.archive.file.trailer import (
    BIGGEST_INDEX,
    Trailer,
    has_entry,
    read_trailer,
)

_SAVED = struct.Struct("<8sQ32s")
_MAGIC = b"imgtail1"
_BIGGEST_SAVED = 2 * BIGGEST_INDEX + 2 * BIGGEST_TABLE


def adding_journal(path: Path, source: FileSource, trailer: Trailer) -> Journal:
    """Return the journal of what is added to a finished file; the trailer is kept before."""
    if saved_trailer(path, source) is None:
        journal_path(path).unlink(missing_ok=True)
        _save(path, source, trailer.start, source.size())
    return Journal.open(journal_path(path))


def _save(path: Path, source: FileSource, start: int, size: int) -> None:
    """Keep the bytes of `path` from `start` to its end durably, for the readers of the archive."""
    data = b"".join(unpacked(Form.TAR, source, start, size))
    if len(data) != size - start:
        raise damaged(source.name, "it ends early")
    saved = saved_path(path)
    replace_file(
        saved,
        _SAVED.pack(_MAGIC, start, hashlib.sha256(data).digest()) + data,
        mode=stat.S_IMODE(os.fstat(source.descriptor).st_mode) & 0o666,
        temporary=saved.with_name(f"{saved.name}.new"),
    )


def current_trailer(path: Path, source: FileSource) -> Trailer | None:
    """Return the trailer of `path`; the kept one while a run that adds to it has not ended."""
    return saved_trailer(path, source) or read_trailer(source, source.size())


def saved_trailer(path: Path, source: FileSource) -> Trailer | None:
    """Return the trailer that was kept while blobs were added to `path`.

    None when there is none, or it does not belong to the file that is there now.
    """
    found = _saved(path)
    form = form_of(source.read_at(0, BLOCK))
    if found is None or form is None:
        return None
    start, data = found
    trailer = read_trailer(BytesSource(source.name, start, data), start + len(data), form)
    # Another file may lie at `path` now; only this one has the last entry before the trailer.
    belongs = trailer and has_entry(form, source, trailer.body.entries[-1])
    return trailer if belongs else None


def saved_bytes(path: Path) -> bytes:
    """Return the bytes of the kept trailer; raise ArchiveDamaged when there are none."""
    found = _saved(path)
    if found is None:
        raise damaged(str(path), f"{saved_path(path)} is gone")
    return found[1]


def _saved(path: Path) -> tuple[int, bytes] | None:
    """Return the offset of the kept trailer and its bytes, None without a whole one."""
    saved = saved_path(path)
    try:
        with saved.open("rb") as file:
            head, data = file.read(_SAVED.size), file.read(_BIGGEST_SAVED)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise damaged(str(path), f"{saved} cannot be read: {error.strerror}") from error
    if len(head) != _SAVED.size:
        return None
    magic, start, sha256 = _SAVED.unpack(head)
    if magic != _MAGIC or hashlib.sha256(data).digest() != sha256:
        return None
    return start, data
