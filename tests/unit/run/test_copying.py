"""Lists that are copied: how lines end in a report, what is remembered, and what moves once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from image_tools.errors import (
    AccessDenied,
    CopyFailed,
    NotFound,
    QuotaExceeded,
    TagImmutable,
    ToolMissing,
    Unavailable,
)
from image_tools.imagelist.entry import ImageList
from image_tools.oci.digest import Digest
from image_tools.report import Outcome, Status
from image_tools.run.copying import CopyMode
from image_tools.run.engine import Engine
from image_tools.stores.store import Abilities
from tests.helpers.quick_loop import run
from tests.helpers.run_lab import (
    AMD64,
    ARM64,
    DESTINATION,
    LINE,
    REPOSITORY,
    S390X,
    SOURCE,
    FakeAdmission,
    ImageLab,
    Lab,
    list_of,
    outcome,
)


def copied(lab: Lab, images: ImageList | None = None, **more: Any) -> tuple[Outcome, ...]:
    context = lab.new_run(**more)
    engine = Engine(context, CopyMode(context), lambda result: result)
    outcomes = run(engine.run(images or list_of(LINE)))
    if engine.fatal is not None and not isinstance(engine.fatal, ToolMissing):
        raise engine.fatal
    return outcomes


def repositories(lab: Lab, *names: str, shared: bool = False) -> ImageList:
    """Lay down images of two platforms in so many repositories; return the list of them."""
    for name in names:
        entries = [
            lab.source.image(
                where, f"{name} {where}", layers=(b"shared",) if shared else (), repository=name
            )
            for where in (AMD64, ARM64)
        ]
        lab.source.index(*entries, name=name, repository=name)
    return list_of(*(f"{SOURCE}/{name}:1" for name in names))


def held(lab: Lab, repository: str) -> set[Digest]:
    """Return the blobs that a repository of the destination has."""
    return set(lab.destination.repositories[repository].blobs)


def test_copy_brings_every_blob_and_manifest_and_no_other() -> None:
    lab = ImageLab(AMD64, ARM64, S390X)

    copied(lab)

    there = lab.destination.repositories[REPOSITORY]
    wanted = {entry.digest for entry in lab.entries[:2]}
    assert set(there.manifests) == wanted | {there.tags["1"]}
    # A config and a layer of each.
    assert len(there.blobs) == 4


def test_copy_of_layers_that_images_share_moves_them_once() -> None:
    lab = Lab()
    images = repositories(lab, "team/a", "team/b", "team/c", shared=True)

    outcomes = copied(lab, images)

    sent = sum(len(lab.destination.repositories["team/a"].blobs[d]) for d in held(lab, "team/a"))
    own = sent - len(b"shared")
    assert sum(one.bytes_moved for one in outcomes) == 3 * own + len(b"shared")
    assert lab.destination.count("mount") == 2


def test_copy_fills_gaps_that_an_earlier_run_has_left() -> None:
    lab = ImageLab()
    lab.copier.failures = [("copy_several", Unavailable("down"))]
    first = copied(lab)
    uploads = lab.destination.count("upload")

    second = copied(lab)

    assert [one.status for one in (*first, *second)] == [Status.FAILED, Status.COPIED]
    # What has arrived stays.
    assert lab.destination.count("upload") == uploads == 4


# Failures.


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Unavailable("down"), "unavailable"),
        (QuotaExceeded("full"), "quota-exceeded"),
        (NotFound("a layer is gone"), "not-found"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_copy_that_fails_names_the_source_its_kind_and_what_to_do(
    error: CopyFailed, kind: str
) -> None:
    lab = ImageLab()
    lab.copier.failures = [("place", error)]

    (outcome,) = copied(lab)

    assert (outcome.status, outcome.kind) == (Status.FAILED, kind)
    assert (outcome.reason, outcome.advice) == (f"{LINE}: {error.message}", error.advice)
    assert lab.memory.known == {}


def test_copy_whose_tag_was_moved_by_somebody_else_is_not_remembered() -> None:
    lab = ImageLab()
    real = lab.copier.copy_several

    async def overtaken(*words: Any) -> None:
        await real(*words)
        lab.destination.index(lab.destination.image(S390X), name="theirs")

    lab.copier.copy_several = overtaken  # type: ignore[assignment, method-assign]

    (outcome,) = copied(lab)

    assert (outcome.status, outcome.kind) == (Status.FAILED, "integrity-error")
    assert lab.memory.known == {}


def test_copy_into_a_full_project_tries_its_other_images_no_more() -> None:
    lab = Lab(jobs=1)
    images = repositories(lab, "full/a", "full/b", "free/a")
    lab.copier.failures = [("place", QuotaExceeded("full"))]

    first, second, third = copied(lab, images)

    assert (first.reason, second.reason, third.status) == (
        f"{SOURCE}/full/a:1: full",
        f"{DESTINATION}/full/b:1: not tried, an earlier push was refused: full",
        Status.COPIED,
    )


def test_copy_of_new_tags_goes_on_where_existing_ones_are_immutable() -> None:
    lab = Lab(jobs=1)
    for tag in ("1", "2", "3"):
        entries = [lab.source.image(where, f"{where} {tag}") for where in (AMD64, ARM64)]
        lab.source.index(*entries, tag=tag, name=f"index {tag}")
    for tag in ("1", "2"):
        lab.destination.index(lab.destination.image(AMD64, "old"), tag=tag, name="old index")
    lab.copier.failures = [("copy_several", TagImmutable("immutable"))]

    outcomes = copied(lab, list_of(*(f"{SOURCE}/team/app:{tag}" for tag in ("1", "2", "3"))))

    assert [one.status for one in outcomes] == [Status.FAILED, Status.FAILED, Status.COPIED]
    assert "not tried" in outcomes[1].reason


def test_copy_to_a_repository_that_takes_no_pushes_moves_nothing() -> None:
    lab = ImageLab()
    admission = FakeAdmission(lab.note, push_error=AccessDenied("no pushes"))
    lab.destination.abilities = Abilities(admission=admission)

    (outcome,) = copied(lab, preflight=True)

    assert (outcome.status, outcome.kind) == (Status.FAILED, "access-denied")
    assert lab.destination.count("upload") == 0


def test_copy_without_tools_starts_nothing() -> None:
    lab = ImageLab()
    lab.toolbox.missing = ToolMissing("no skopeo")

    (outcome,) = copied(lab)

    assert (outcome.status, outcome.reason) == (Status.UNSTARTED, "not started")


@pytest.mark.parametrize("look_behind", [False, True])
def test_copy_that_looks_behind_tells_that_what_failed_is_to_be_looked_behind_again(
    look_behind: bool,
) -> None:
    lab = ImageLab(look_behind=look_behind)
    lab.copier.failures = [("place", Unavailable("down"))]

    (outcome,) = copied(lab)

    assert outcome.behind is look_behind
    assert outcome.again == (f"{LINE}  # depth=tree" if look_behind else LINE)


def test_completed_outcome_has_its_time_and_bytes_and_stays_behind() -> None:
    mode = CopyMode(Lab().new_run())
    failed = outcome(Status.FAILED, behind=True)

    assert mode.completed(failed, seconds=1.5, moved=7) == replace(
        failed, seconds=1.5, bytes_moved=7
    )


# Pull limits.


def test_copy_within_a_pull_budget_copies_what_fits_and_puts_off_the_rest() -> None:
    lab = Lab(pull_budget=7)
    images = repositories(lab, "team/a", "team/b", "team/c")

    outcomes = copied(lab, images)

    assert sorted(one.status.value for one in outcomes) == ["copied", "copied", "deferred"]
    assert lab.source.count("manifest") == 6
    (late,) = (one for one in outcomes if one.status is Status.DEFERRED)
    assert "of --pull-budget 7 left at src.example" in late.reason
    assert f"{late.destination.removesuffix(':1')}" not in lab.destination.repositories


def test_copy_counts_the_pulls_that_skopeo_makes_by_itself() -> None:
    lab = ImageLab(pull_budget=10)
    lab.copier.reads_directly = True
    context = lab.new_run()

    (outcome,) = run(Engine(context, CopyMode(context), lambda one: one).run(list_of(LINE)))

    assert outcome.status is Status.COPIED
    assert lab.source.count("manifest") == 3
    (meter,) = context.endpoints.meters.limited
    assert (meter.window.spent, meter.available, meter.reserved) == (5, 5, 0)


def test_copy_of_unchanged_images_costs_no_pull() -> None:
    lab = Lab(pull_budget=6)
    images = repositories(lab, "team/a", "team/b")
    copied(lab, images)
    lab.options = replace(lab.options, pull_budget=0)

    assert [one.status for one in copied(lab, images)] == [Status.UNCHANGED] * 2


# Running again.


def moved(lab: ImageLab) -> None:
    lab.source.index(lab.entries[0], lab.source.image(ARM64, "new"), name="new index")


def lost(lab: ImageLab) -> None:
    lab.destination.repositories[REPOSITORY].tags.clear()


def replaced(lab: ImageLab) -> None:
    lab.destination.index(lab.destination.image(AMD64, "theirs"), name="theirs")


@pytest.mark.parametrize("change", [moved, lost, replaced], ids=lambda one: one.__name__)
def test_copy_after_a_change_brings_only_what_is_missing(
    change: Callable[[ImageLab], None],
) -> None:
    lab = ImageLab()
    copied(lab)
    change(lab)
    lab.events.clear()
    before = lab.destination.count("put")

    (outcome,) = copied(lab)

    assert outcome.status is Status.COPIED
    assert lab.destination.tagged() == lab.source.tagged()
    assert lab.destination.count("put") - before == (2 if change is moved else 0)


def test_copy_after_what_was_skipped_asks_with_two_heads() -> None:
    lab = ImageLab(S390X)
    first = copied(lab)
    lab.events.clear()

    second = copied(lab)

    assert [one.status for one in (*first, *second)] == [Status.SKIPPED] * 2
    assert replace(second[0], seconds=0.0) == replace(first[0], seconds=0.0)
    assert lab.events == [f"{SOURCE} manifest_head 1", f"{DESTINATION} manifest_head 1"]
