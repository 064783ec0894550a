"""The journal of an archive in volumes: which set is being written."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from image_tools.errors import UsageError
from image_tools.stores.archive.beside import journal_path
from image_tools.stores.archive.file.framing import Packing
from image_tools.stores.archive.file.journal import Journal
from image_tools.stores.archive.file.toc import damaged
from image_tools.stores.archive.volumes.list import volume_numbers
from image_tools.stores.archive.volumes.set import clear, is_published

_SET = "set"


@dataclass(frozen=True, slots=True)
class _JournalStart:
    """The first line of the journal: the form, the set, and behind which volume it was begun."""

    form: str
    set_id: str
    first: int


def set_journal(base: Path, form: Packing, set_id: str) -> tuple[Journal, str]:
    """The journal of what is written to an archive in volumes, and the set it is about.

    `set_id` is of the set that is added to; empty for a new archive, whose set is that of a killed
    run, or a new one: then the volumes that are there are taken away. UsageError when the journal
    is about another set or form. The caller has locked the file.
    """
    journal = Journal.open(journal_path(base))
    said = _parsed(journal)
    if said and is_published(base, said.set_id, said.first):
        journal.close()
        os.truncate(journal.path, 0)
        journal, said = Journal.open(journal.path), None
    if said is None:
        return journal, _begun(journal, base, form, set_id)
    if said.form != form.value or set_id not in ("", said.set_id):
        journal.close()
        raise UsageError(
            f"{base} was begun by another run, as {said.form}",
            advice=f"finish that run, or remove {journal.path}",
        )
    return journal, said.set_id


def _begun(journal: Journal, base: Path, form: Packing, set_id: str) -> str:
    """The set, said in an empty journal."""
    if not set_id:
        clear(base)
        set_id = secrets.token_hex(16)
    first = max(volume_numbers(base), default=0)
    journal.append(_SET, f"{form.value} {set_id} {first}")
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
