"""What a dry run says of each line: what would happen to it, the bytes, and the pulls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from image_tools.errors import NotFound, Unavailable
from image_tools.imagelist.entry import ImageList
from image_tools.oci.digest import Digest
from image_tools.report import DryRunPlan, Kept, PlanAction, PlanRow, Pulls
from image_tools.run.dry_run import DryRunMode
from image_tools.run.engine import Engine
from image_tools.run.progress import Snapshot
from tests.helpers.quick_loop import run
from tests.helpers.run_lab import (
    AMD64,
    ARM64,
    DESTINATION,
    LINE,
    REPOSITORY,
    S390X,
    SOURCE,
    TAG,
    ImageLab,
    Lab,
    entry_of,
    list_of,
    schema1,
)

BASE = b"a base layer that images share"


def planned(lab: Lab, images: ImageList | None = None, **more: Any) -> DryRunPlan:
    context = lab.new_run(replace(lab.options, dry_run=True), **more)
    mode = DryRunMode(context)
    engine = Engine(context, mode, lambda row: row)
    rows = run(engine.run(images or list_of(LINE)))
    assert engine.fatal is None
    return mode.outlook(rows)


def row(action: PlanAction, **more: Any) -> PlanRow:
    base = PlanRow(number=1, source=LINE, destination=f"{DESTINATION}/team/app:1", action=action)
    return replace(base, **more)


def size_of(lab: Lab, *digests: Digest, repository: str = REPOSITORY) -> int:
    """Return the bytes of all blobs of a repository of the source, or of some."""
    blobs = lab.source.repositories[repository].blobs
    return sum(len(blobs[digest]) for digest in digests or blobs)


def test_dry_run_image_to_copy_tells_its_bytes_and_the_manifests_it_reads() -> None:
    lab = ImageLab()

    assert planned(lab) == DryRunPlan(
        (
            row(
                PlanAction.COPY,
                platforms=(AMD64, ARM64),
                bytes_to_move=size_of(lab),
                manifest_gets=3,
            ),
        )
    )
    asked = {call.operation for call in lab.destination.calls}
    assert not {"put_manifest", "upload", "put", "mount"} & asked


def test_dry_run_unchanged_image_costs_nothing() -> None:
    lab = ImageLab()
    lab.destination.take(lab.source)

    assert planned(lab).rows == (row(PlanAction.UNCHANGED),)


def test_dry_run_image_without_wanted_platforms_is_skipped() -> None:
    lab = ImageLab(S390X)

    assert planned(lab).rows == (
        row(
            PlanAction.SKIP,
            reason=f"{LINE}: none of the wanted platforms; the source has: {S390X}",
        ),
    )
    assert lab.memory.known == {}


def test_dry_run_line_that_cannot_be_read_and_one_that_fails_are_told() -> None:
    lab = ImageLab()
    lab.source.fail("manifest_head", lambda: Unavailable("down"))

    rows = planned(lab, list_of("no reference://", LINE)).rows

    assert [(one.number, one.action, one.source) for one in rows] == [
        (1, PlanAction.INVALID, "no reference://"),
        (2, PlanAction.FAIL, LINE),
    ]
    assert rows[1].reason == "down"
    assert lab.progress.snapshot() == Snapshot(images_total=2, images_done=2, failed=2)


def test_dry_run_source_that_is_gone_fails() -> None:
    assert planned(Lab()).rows == (
        row(PlanAction.FAIL, reason=str(NotFound(f"{LINE}: not found at the source"))),
    )


def test_dry_run_tells_what_the_tag_keeps_and_what_leaves_it() -> None:
    lab = ImageLab(AMD64)
    kept, gone = lab.destination.image(S390X), lab.destination.image(ARM64)
    lab.destination.index(kept, gone, name="there")

    (found,) = planned(lab).rows

    assert found == row(
        PlanAction.COPY,
        platforms=(AMD64,),
        bytes_to_move=size_of(lab),
        manifest_gets=2,
        reason=f"keeps {S390X}, which was not chosen and is not at the source; removes {ARM64}",
        kept=(Kept(platform=S390X, digest=str(kept.digest)),),
    )


def test_dry_run_schema1_is_converted() -> None:
    lab = Lab()
    lab.source.add(schema1(), "old", TAG)

    assert planned(lab).rows == (
        row(
            PlanAction.COPY,
            platforms=(AMD64,),
            manifest_gets=1,
            reason="Docker schema 1, converted to schema 2",
        ),
    )


# Bytes.


def on_base(lab: Lab, *names: str) -> ImageList:
    """Lay down single-platform images that share a layer, each in a repository of its own."""
    for name in names:
        entry = lab.source.image(AMD64, name, layers=(BASE, name.encode()), repository=name)
        lab.source.index(entry, name=name, repository=name)
    return list_of(*(f"{SOURCE}/{name}:1" for name in names))


def test_dry_run_counts_a_blob_that_images_share_once() -> None:
    lab = Lab()
    images = on_base(lab, "team/a", "team/b")

    found = [one.bytes_to_move for one in planned(lab, images).rows]

    assert sum(filter(None, found)) == sum(
        size_of(lab, repository=name) for name in ("team/a", "team/b")
    ) - len(BASE)


def test_dry_run_counts_a_blob_once_for_each_destination_registry() -> None:
    lab = Lab()
    on_base(lab, "team/a")
    images = tuple(
        entry_of(number, f"{SOURCE}/team/a:1", f"{registry}/team/a:1")
        for number, registry in enumerate((DESTINATION, "b.example"), start=1)
    )

    rows = planned(lab, ImageList(name="", entries=images)).rows

    size = size_of(lab, repository="team/a")
    assert [one.bytes_to_move for one in rows] == [size, size]
    # Its manifests are read once: both lines are of one source.
    assert [one.manifest_gets for one in rows] == [2, 1]


@pytest.mark.parametrize(
    ("lies", "counted"),
    [(BASE, False), (BASE[:-1], True), (None, True)],
    ids=["there", "another size", "not there"],
)
def test_dry_run_blob_that_is_there_is_not_counted(lies: bytes | None, counted: bool) -> None:
    lab = Lab()
    entry = lab.source.image(AMD64, layers=(BASE, b"own"))
    lab.source.index(entry)
    if lies is not None:
        lab.destination.repositories[REPOSITORY].blobs[Digest.of(BASE)] = lies

    (found,) = planned(lab).rows

    assert found.bytes_to_move == size_of(lab) - (0 if counted else len(BASE))


@pytest.mark.parametrize("held", [True, False])
def test_dry_run_foreign_layer_counts_where_the_source_holds_it(held: bool) -> None:
    lab = Lab()
    lab.source.index(lab.source.image(AMD64, foreign=(BASE,)))
    own = size_of(lab)
    if held:
        lab.source.add_blob(REPOSITORY, BASE)

    (found,) = planned(lab).rows

    assert found.bytes_to_move == own + (len(BASE) if held else 0)


# Pull limits.


def test_dry_run_where_pulls_are_counted_reads_indexes_alone_and_does_not_know_the_bytes() -> None:
    lab = ImageLab(pull_budget=10)

    assert planned(lab) == DryRunPlan(
        (row(PlanAction.COPY, platforms=(AMD64, ARM64), bytes_to_move=None, manifest_gets=3),),
        (Pulls(registry=SOURCE, spent=1, left=9),),
    )
    assert lab.source.count("manifest") == 1


def test_dry_run_puts_off_what_the_run_would_have_no_pulls_for() -> None:
    lab = Lab(pull_budget=7)
    images = on_base(lab, "team/a", "team/b", "team/c")

    found = planned(lab, images)

    # Three indexes are read by the plan; of the four that are left each image needs two.
    assert [one.action for one in found.rows] == [
        PlanAction.COPY,
        PlanAction.COPY,
        PlanAction.DEFER,
    ]
    assert found.rows[2].reason == "needs 2 pulls; 4 of --pull-budget 7 left at src.example"
    assert found.pulls == (Pulls(registry=SOURCE, spent=3, left=4),)


def test_dry_run_line_that_it_cannot_even_read_itself_is_put_off() -> None:
    lab = ImageLab(pull_budget=0)

    (found,) = planned(lab).rows

    assert (found.action, found.manifest_gets) == (PlanAction.DEFER, 1)
    assert "0 of --pull-budget 0 left" in found.reason


def test_dry_run_unchanged_lines_need_no_pulls_of_the_budget() -> None:
    lab = ImageLab(pull_budget=0)
    lab.destination.take(lab.source)

    assert [one.action for one in planned(lab).rows] == [PlanAction.UNCHANGED]


# What ends it.


def test_dry_run_that_is_stopped_tells_which_lines_are_left() -> None:
    lab = ImageLab()
    context = lab.new_run(replace(lab.options, dry_run=True))
    engine = Engine(context, DryRunMode(context), lambda found: found)

    async def stopped() -> tuple[PlanRow, ...]:
        engine.stop()
        return await engine.run(list_of(LINE))

    assert run(stopped()) == (row(PlanAction.FAIL, reason="not started"),)
