"""Destinations that do not show the tag that is to be written, and sources with other platforms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.client import push
from tests.helpers.fault_types import ALWAYS, Fault, Stage
from tests.helpers.faults import FaultRegistry
from tests.helpers.registry import Registry
from tests.helpers.running import Ran, mirror
from tests.helpers.walk import pull_everything

LOOKS = (Stage.HEAD_MANIFEST, Stage.MANIFEST)


@pytest.fixture
def destination() -> Iterator[FaultRegistry]:
    with FaultRegistry() as double:
        yield double


@pytest.fixture
def source(source_registry: Registry) -> Registry:
    push(source_registry.endpoint, "team/app", "1.0", images.docker_list(1))
    return source_registry


def refuse(double: FaultRegistry, status: int, reference: str = "1.0") -> None:
    for stage in LOOKS:
        double.add(Fault(stage, status, ALWAYS, reference=reference))


def run(source: Registry, destination: FaultRegistry, folder: Path, *words: str) -> Ran:
    line = f"{source.address}/team/app:1.0\n"
    return mirror(folder, line, "-d", destination.address, *words)


def test_mirror_forbidden_tag_that_is_not_listed_is_written(
    source: Registry, destination: FaultRegistry, tmp_path: Path
) -> None:
    """cosign#2973: 403 for what does not exist, and pushes are taken."""
    destination.load("team/app", "other", images.docker_list(2))
    for stage in LOOKS:
        destination.add(Fault(stage, 403, 1, reference="1.0"))
    ran = run(source, destination, tmp_path)
    assert ran.statuses == ["copied"], ran.stderr
    assert destination.count(Stage.TAGS) == 1
    assert len(pull_everything(destination, "team/app", "1.0").entries) == 2


def test_mirror_forbidden_tag_where_no_list_is_given_is_resolved_by_the_push_check(
    source: Registry, destination: FaultRegistry, tmp_path: Path
) -> None:
    destination.add(Fault(Stage.TAGS, 403, ALWAYS))
    for stage in LOOKS:
        destination.add(Fault(stage, 403, 1, reference="1.0"))
    ran = run(source, destination, tmp_path)
    assert ran.statuses == ["copied"], ran.stderr
    assert "accepts pushes: treating the tag as missing" in ran.stderr


def test_mirror_forbidden_tag_without_the_right_to_push_is_denied(
    source: Registry, destination: FaultRegistry, tmp_path: Path
) -> None:
    for stage in (*LOOKS, Stage.TAGS, Stage.POST_UPLOAD):
        destination.add(Fault(stage, 403, ALWAYS))
    outcome = run(source, destination, tmp_path).only()
    assert (outcome["status"], outcome["kind"]) == ("failed", "access-denied")
    assert destination.count(Stage.PUT_BLOB) == 0


def test_mirror_dry_run_never_tries_to_push(
    source: Registry, destination: FaultRegistry, tmp_path: Path
) -> None:
    destination.add(Fault(Stage.TAGS, 403, ALWAYS))
    refuse(destination, 403)
    ran = run(source, destination, tmp_path, "--dry-run")
    assert ran.code == 1
    assert destination.count(Stage.POST_UPLOAD) == 0


@pytest.mark.parametrize("status", [403, 412, 451])
def test_mirror_tag_that_is_there_and_not_shown_is_replaced_with_overwrite_alone(
    source: Registry, destination: FaultRegistry, tmp_path: Path, status: int
) -> None:
    """Harbor's policies let nobody read a tag, and let it be replaced (harbor#15283)."""
    destination.load("team/app", "1.0", images.docker_list(2))
    refuse(destination, status)
    outcome = run(source, destination, tmp_path).only()
    assert outcome["status"] == "failed"
    assert "the current tag cannot be read" in outcome["reason"]
    assert "--overwrite" in outcome["advice"]
    assert destination.count(Stage.PUT_BLOB) == 0

    replaced = run(source, destination, tmp_path, "--overwrite", "-a", "all")
    assert replaced.statuses == ["copied"], replaced.stderr
    destination.clear_faults()
    digest = images.docker_list(1).top.digest
    assert pull_everything(destination, "team/app", "1.0").digest == digest


def test_mirror_skipped_image_costs_no_pull_in_the_next_run(
    destination: FaultRegistry, registry: Registry, tmp_path: Path
) -> None:
    destination.load("team/app", "1.0", images.docker_list(1))
    words = ("-a", "riscv64", "--state", str(tmp_path / "state.db"))
    line = f"{destination.address}/team/app:1.0\n"
    first = mirror(tmp_path, line, "-d", registry.address, *words)
    assert (first.code, first.statuses) == (1, ["skipped"])
    destination.clear_log()
    again = mirror(tmp_path, line, "-d", registry.address, *words)
    assert (again.code, again.only()["reason"]) == (1, first.only()["reason"])
    assert destination.count(Stage.MANIFEST) == 0

    failing = mirror(tmp_path, line, "-d", registry.address, *words, "--no-arch-os-fail")
    assert failing.only()["kind"] == "platform-missing"
    assert destination.count(Stage.MANIFEST) == 0


@pytest.mark.parametrize(("budget", "gets"), [("0", 0), ("10", 1)])
def test_mirror_refused_head_is_asked_for_its_words_within_the_pull_budget(
    destination: FaultRegistry, registry: Registry, tmp_path: Path, budget: str, gets: int
) -> None:
    source = destination
    source.load("team/app", "1.0", images.docker_list(1))
    refuse(source, 403)
    line = f"{source.address}/team/app:1.0\n"
    ran = mirror(tmp_path, line, "-d", registry.address, "--pull-budget", budget)
    assert ran.only()["kind"] == "access-denied"
    assert ("injected by the lab" in ran.only()["reason"]) is bool(gets)
    assert source.count(Stage.MANIFEST) == gets
