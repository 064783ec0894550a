"""The counters of a run, as whoever shows them reads them."""

from __future__ import annotations

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
