"""The counters of a run, as whoever shows them reads them."""

from __future__ import annotations

import pytest

from image_tools.oci.digest import Digest
from image_tools.report import Status
from image_tools.run.progress import Progress, Snapshot


def test_snapshot_follows_the_run() -> None:
    moments = iter((0.0, 2.0))
    moved = iter((0, 4_000_000))
    progress = Progress(clock=lambda: next(moments))
    progress.bytes_source = lambda: next(moved)
    progress.expect(2)
    progress.plan(10_000_000)
    progress.begin("a", "a begins")
    progress.begin("b", "b begins")
    before = progress.snapshot()
    progress.change("a", "a goes on")
    progress.end("b")
    progress.change("b", "too late")
    progress.image_done(Status.COPIED)
    progress.image_done(Status.FAILED)

    assert before == Snapshot(
        images_total=2, bytes_total=10_000_000, active=("a begins", "b begins")
    )
    assert progress.snapshot() == Snapshot(
        images_total=2,
        images_done=2,
        failed=1,
        bytes_done=4_000_000,
        bytes_total=10_000_000,
        rate=2_000_000.0,
        active=("a goes on",),
    )


A, B, C = (Digest.of(name) for name in (b"a", b"b", b"c"))


class Expected:
    """A progress that is told what is coming."""

    def __init__(self) -> None:
        self.progress = Progress()

    @property
    def total(self) -> int:
        return self.progress.snapshot().bytes_total

    def run(self, blobs: dict[Digest, int], moved: int, registry: str = "one.example") -> int:
        """Return the total shown while the image is copied."""
        with self.progress.expected(registry, blobs, lambda: moved):
            return self.total


def test_expected_bytes_are_corrected_by_what_really_moved() -> None:
    expected = Expected()

    assert expected.run({A: 100, B: 20}, moved=100) == 120
    assert expected.total == 100
    assert expected.run({C: 7}, moved=9) == 107
    assert expected.total == 109


@pytest.mark.parametrize(("registry", "shown"), [("one.example", 105), ("two.example", 205)])
def test_blob_is_expected_once_per_registry(registry: str, shown: int) -> None:
    expected = Expected()
    with expected.progress.expected("one.example", {A: 100}, int):
        assert expected.run({A: 100, B: 5}, 5, registry) == shown


def test_image_that_fails_leaves_what_it_moved() -> None:
    expected = Expected()

    with pytest.raises(KeyError), expected.progress.expected("one.example", {A: 100}, lambda: 30):
        raise KeyError

    assert expected.total == 30
