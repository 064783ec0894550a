"""A line of a list on its way through a whole run: the stages it passes, and how it ends."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from image_tools.imagelist.entry import ImageList
from image_tools.report import Change, Outcome, PlanAction, PlanRow, Report, Status
from image_tools.run.context import RunContext
from image_tools.run.copying import CopyMode
from image_tools.run.dry_run import DryRunMode
from image_tools.run.engine import Engine
from image_tools.run.line import confirm, plan, probe, publish, read, remember, transfer
from image_tools.run.validation import ValidateMode, Validation
from image_tools.validation.demand import Demand
from tests.helpers.quick_loop import run
from tests.helpers.run_lab import (
    AMD64,
    ARM64,
    DESTINATION,
    LINE,
    S390X,
    SOURCE,
    Lab,
    list_of,
    outcome,
)

ALL_STAGES = ["probe", "read", "plan", "transfer", "publish", "confirm", "remember"]


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages that were passed; wherever a module imported one of them, it is watched."""
    passed: list[str] = []
    watched = {
        "probe": probe.probe,
        "read": read.read,
        "plan": plan.plan_image,
        "transfer": transfer.transfer,
        "publish": publish.publish,
        "confirm": confirm.confirm,
        "remember": remember.remember,
    }
    modules = [m for name, m in sys.modules.items() if name.startswith("image_tools.")]
    for stage, function in watched.items():
        for module in modules:
            for name in [n for n, one in vars(module).items() if one is function]:
                monkeypatch.setattr(module, name, _watched(function, stage, passed))
    return passed


def _watched(function: Any, stage: str, passed: list[str]) -> Callable[..., Any]:
    if not inspect.iscoroutinefunction(function):

        def call(*words: Any, **named: Any) -> Any:
            passed.append(stage)
            return function(*words, **named)

        return call

    async def wait(*words: Any, **named: Any) -> Any:
        passed.append(stage)
        return await function(*words, **named)

    return wait


def mirrored(context: RunContext, images: ImageList) -> Report:
    """Return the report of a run that copies."""
    engine = Engine(context, CopyMode(context), lambda result: result)
    return Report(command="mirror", outcomes=run(engine.run(images)))


def timeless(report: Report) -> tuple[Outcome, ...]:
    """Return the outcomes of a report; how long they took is no matter here."""
    return tuple(replace(one, seconds=0.0) for one in report.outcomes)


def stocked() -> Lab:
    """Return a lab whose source has an index of two chosen platforms and another one."""
    lab = Lab()
    lab.source.index(*(lab.source.image(where) for where in (AMD64, ARM64, S390X)))
    return lab


def test_copy_of_a_new_image_passes_each_stage_once_and_in_order(stages: list[str]) -> None:
    lab = stocked()
    top = lab.source.tagged()

    report = mirrored(lab.new_run(), list_of(LINE))

    there = lab.destination.tagged()
    assert stages == ALL_STAGES
    assert timeless(report) == (
        outcome(
            Status.COPIED,
            raw=LINE,
            digest=str(there),
            source_digest=str(top),
            digest_preserved=False,
            change=Change.FILTERED,
            platforms=(AMD64, ARM64),
            bytes_moved=report.bytes_moved,
            path="buildx",
        ),
    )
    assert lab.asked(DESTINATION) == [
        "manifest_head 1",
        "manifest_head linux/amd64",
        "manifest_head linux/arm64",
        "put_manifest linux/amd64",
        "put_manifest linux/arm64",
        "put_manifest 1",
        "manifest_head 1",
    ]
    assert lab.asked(SOURCE) == [
        "manifest_head 1",
        "manifest index",
        "manifest linux/amd64",
        "manifest linux/arm64",
    ]


def test_copy_of_what_a_run_has_copied_passes_probe_alone(stages: list[str]) -> None:
    lab = stocked()
    first = mirrored(lab.new_run(), list_of(LINE)).outcomes[0]
    stages.clear()
    lab.events.clear()

    report = mirrored(lab.new_run(), list_of(LINE))

    assert stages == ["probe"]
    assert lab.events == [f"{SOURCE} manifest_head 1", f"{DESTINATION} manifest_head 1"]
    assert timeless(report) == (
        replace(
            first,
            status=Status.UNCHANGED,
            platforms=(),
            path="",
            seconds=0.0,
            bytes_moved=0,
        ),
    )


def test_copy_without_a_memory_passes_probe_read_plan_and_remember(stages: list[str]) -> None:
    lab = stocked()
    mirrored(lab.new_run(), list_of(LINE))
    lab.memory.known.clear()
    stages.clear()

    report = mirrored(lab.new_run(), list_of(LINE))

    assert stages == ["probe", "read", "plan", "remember"]
    assert [one.status for one in report.outcomes] == [Status.UNCHANGED]


def test_copy_of_many_lines_passes_each_stage_once_for_each(stages: list[str]) -> None:
    lab = Lab(jobs=3)
    names = [f"team/app-{number}" for number in range(20)]
    for name in names:
        entries = [lab.source.image(where, repository=name) for where in (AMD64, ARM64)]
        lab.source.index(*entries, repository=name)

    report = mirrored(lab.new_run(), list_of(*(f"{SOURCE}/{name}:1" for name in names)))

    assert {stage: stages.count(stage) for stage in ALL_STAGES} == dict.fromkeys(ALL_STAGES, 20)
    assert [one.number for one in report.outcomes] == list(range(1, 21))
    assert report.exit_code == 0
    assert report.bytes_moved == sum(one.bytes_moved for one in report.outcomes)


def test_dry_run_passes_probe_read_and_plan_and_writes_nothing(stages: list[str]) -> None:
    lab = stocked()
    context = lab.new_run(replace(lab.options, dry_run=True))
    engine = Engine(context, DryRunMode(context), lambda result: result)

    rows = run(engine.run(list_of(LINE)))

    assert stages == ["probe", "read", "plan"]
    assert rows == (
        PlanRow(
            number=1,
            source=LINE,
            destination=f"{DESTINATION}/team/app:1",
            action=PlanAction.COPY,
            platforms=(AMD64, ARM64),
            bytes_to_move=rows[0].bytes_to_move,
            manifest_gets=3,
        ),
    )
    assert lab.destination.repositories.keys() <= {"team/app"}
    assert lab.destination.count("put_manifest") == lab.destination.count("upload") == 0
    assert lab.memory.known == {}


@pytest.mark.parametrize(
    ("before", "status", "kind"),
    [(True, Status.PASSED, ""), (False, Status.FAILED, "different")],
    ids=["copied before", "never copied"],
)
def test_validation_passes_neither_plan_nor_transfer(
    stages: list[str], before: bool, status: Status, kind: str
) -> None:
    lab = stocked()
    if before:
        mirrored(lab.new_run(), list_of(LINE))
        stages.clear()
    context = lab.new_run()
    demand = Demand(architectures=frozenset({"amd64", "arm64"}), systems=frozenset({"linux"}))
    mode = ValidateMode(context, Validation(), demand)

    (found,) = run(Engine(context, mode, lambda result: result).run(list_of(LINE)))

    assert (found.status, found.kind) == (status, kind)
    assert set(stages).isdisjoint({"plan", "transfer", "publish", "confirm", "remember"})
