"""How much is expected to move: each blob once per destination registry."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from image_tools.exchange.ledger import Ledger
from image_tools.exchange.sessions import Book
from image_tools.imagelist.entry import Entry
from image_tools.oci.digest import Digest
from image_tools.oci.reference import Reference
from image_tools.run.endpoints import Destination
from image_tools.run.line.job import Job
from image_tools.run.line.reader import Repository
from image_tools.run.progress import Progress
from image_tools.run.volume import ExpectedBytes
from tests.helpers.memory_store import MemoryStore

A, B, C = (Digest.of(name) for name in (b"a", b"b", b"c"))


def job(registry: str = "one.example") -> Job:
    store = MemoryStore()
    entry = Entry(
        number=1,
        line=1,
        raw="x",
        source=Reference.parse("docker.io/library/x:1"),
        destination=Reference.parse(f"{registry}/x:1"),
    )
    # Nothing is placed here: a destination needs its book alone.
    end = Destination(Book(store, Ledger()), placer=None)  # type: ignore[arg-type]
    return Job(entry=entry, source=Repository(store, "library/x"), end=end)


class Expected:
    """A volume and what its progress shows."""

    def __init__(self) -> None:
        self.progress = Progress()
        self.volume = ExpectedBytes(self.progress)

    @property
    def total(self) -> int:
        return self.progress.snapshot().bytes_total

    def run(self, one: Job, blobs: Mapping[Digest, int], moved: int) -> int:
        """Give the total shown while the job runs."""
        with self.volume.expected(one, blobs):
            shown = self.total
            one.account.wrote(moved)
        return shown


def test_expected_bytes_are_corrected_by_what_really_moved() -> None:
    expected = Expected()

    assert expected.run(job(), {A: 100, B: 20}, moved=100) == 120
    assert expected.total == 100
    assert expected.run(job(), {C: 7}, moved=9) == 107
    assert expected.total == 109


@pytest.mark.parametrize(("registry", "shown"), [("one.example", 105), ("two.example", 205)])
def test_blob_is_expected_once_per_registry(registry: str, shown: int) -> None:
    expected = Expected()
    with expected.volume.expected(job(), {A: 100}):
        assert expected.run(job(registry), {A: 100, B: 5}, moved=5) == shown


def test_job_that_fails_leaves_what_it_moved() -> None:
    expected, one = Expected(), job()

    def fail() -> None:
        one.account.wrote(30)
        raise KeyError

    with pytest.raises(KeyError), expected.volume.expected(one, {A: 100}):
        fail()

    assert expected.total == 30
