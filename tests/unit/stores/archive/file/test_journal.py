from __future__ import annotations

import errno
import os
import threading

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from image_tools.errors import ArchiveDamaged
from image_tools.stores.archive.file.journal import Journal
from tests.helpers.examples import examples

_TEXT = st.text(st.characters(blacklist_characters="\n", blacklist_categories=("Cs",)))
_ENTRIES = st.lists(st.tuples(st.sampled_from(("blob", "note")), _TEXT), max_size=8)


def _journal_of(path, entries):
    path.unlink(missing_ok=True)
    journal = Journal.open(path)
    for kind, text in entries:
        journal.append(kind, text)
    journal.close()


def _entries(path):
    journal = Journal.open(path)
    journal.close()
    return journal.entries


@given(_ENTRIES)
@examples(20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_journal_opened_again_has_all_entries_in_order(tmp_path, entries):
    _journal_of(tmp_path / "journal", entries)

    assert _entries(tmp_path / "journal") == tuple(entries)


@given(_ENTRIES.filter(bool), st.data())
@examples(20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_journal_cut_anywhere_keeps_the_whole_entries_before(tmp_path, entries, data):
    path = tmp_path / "journal"
    _journal_of(path, entries)
    cut = data.draw(st.integers(0, path.stat().st_size - 1))
    os.truncate(path, cut)

    found = _entries(path)

    assert found == tuple(entries)[: len(found)]
    assert len(found) < len(entries)
    journal = Journal.open(path)
    journal.append("note", "after")
    journal.close()
    assert _entries(path) == (*found, ("note", "after"))


def test_journal_with_a_changed_line_ends_before_it(tmp_path):
    path = tmp_path / "journal"
    _journal_of(path, [("note", "one"), ("note", "two"), ("note", "three")])
    path.write_bytes(path.read_bytes().replace(b"two", b"TWO"))

    assert _entries(path) == (("note", "one"),)


def test_journal_that_is_another_file_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "journal"
    path.write_bytes(b"dear diary")

    with pytest.raises(ArchiveDamaged, match="is no journal"):
        Journal.open(path)
    assert path.read_bytes() == b"dear diary"


def test_journal_on_a_full_disk_keeps_no_half_line(tmp_path, monkeypatch):
    path = tmp_path / "journal"
    journal = Journal.open(path)
    journal.append("note", "one")
    write, left = os.write, [3]

    def full(descriptor, data):
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = write(descriptor, data[: left[0]])
        left[0] = 0
        return count

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            journal.append("note", "two")
    journal.append("note", "three")
    journal.close()

    assert _entries(path) == (("note", "one"), ("note", "three"))


def test_journal_written_by_many_threads_has_every_entry_whole(tmp_path):
    path = tmp_path / "journal"
    journal = Journal.open(path)
    threads = [
        threading.Thread(target=lambda n=n: [journal.append("note", f"{n}-{k}") for k in range(20)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()

    expected = sorted(("note", f"{n}-{k}") for n in range(4) for k in range(20))
    assert sorted(_entries(path)) == expected


def test_journal_removed_is_gone(tmp_path):
    journal = Journal.open(tmp_path / "journal")
    journal.remove()

    assert not (tmp_path / "journal").exists()


@pytest.mark.parametrize(("kind", "text"), [("two words", ""), ("note", "a\nb")])
def test_append_of_what_is_no_line_is_a_bug(tmp_path, kind, text):
    journal = Journal.open(tmp_path / "journal")
    with pytest.raises(ValueError, match="no entry"):
        journal.append(kind, text)
    journal.close()
    assert journal.entries == ()
