"""What goes wrong at the ends: what passes is repeated, what stays is explained."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.client import manifest, push, tags
from tests.helpers.content import Image
from tests.helpers.damage import Spot
from tests.helpers.fault_types import ALWAYS, Fault, Kind, Stage
from tests.helpers.faults import FaultRegistry
from tests.helpers.registry import Registry, start_registry
from tests.helpers.registry_options import RegistryOptions
from tests.helpers.running import Ran, mirror
from tests.helpers.walk import pull_everything


@pytest.fixture
def broken_source(fault_registry: FaultRegistry) -> FaultRegistry:
    fault_registry.load("team/app", "1.0", images.docker_list(1))
    return fault_registry


@pytest.fixture
def broken_destination() -> Iterator[FaultRegistry]:
    with FaultRegistry() as double:
        yield double


def _mirror(source: str, destination: str, folder: Path, *words: str) -> Ran:
    return mirror(folder, f"{source}/team/app:1.0\n", "-d", destination, *words)


PASSING = [
    *(
        (stage, kind)
        for stage in (Stage.HEAD_MANIFEST, Stage.MANIFEST, Stage.CHILD, Stage.CONFIG, Stage.BLOB)
        for kind in (429, 500, 503, Kind.RESET)
    ),
    (Stage.BLOB, Kind.CUT_BODY),
    (Stage.BLOB, Kind.RESET_IN_BODY),
    (Stage.BLOB, Kind.WRONG_BYTES),
    (Stage.CHILD, Kind.CUT_BODY),
    (Stage.MANIFEST, Kind.WRONG_BYTES),
]


@pytest.mark.parametrize(("stage", "kind"), PASSING)
def test_mirror_source_fails_once_the_image_is_copied_all_the_same(
    broken_source: FaultRegistry, registry: Registry, tmp_path: Path, stage: Stage, kind: Kind | int
) -> None:
    broken_source.add(Fault(stage, kind, retry_after=0 if kind == 429 else None))
    ran = _mirror(broken_source.address, registry.address, tmp_path)
    assert (ran.code, ran.statuses) == (0, ["copied"]), ran.stderr
    assert len(pull_everything(registry.endpoint, "team/app", "1.0").entries) == 2


LASTING = [
    (Stage.HEAD_MANIFEST, 404, "not-found"),
    (Stage.HEAD_MANIFEST, 401, "unauthorized"),
    (Stage.MANIFEST, 403, "access-denied"),
    (Stage.CHILD, 404, "not-found"),
    (Stage.CHILD, 403, "access-denied"),
    (Stage.BLOB, 404, "not-found"),
    (Stage.BLOB, 503, "unavailable"),
    (Stage.BLOB, 429, "rate-limited"),
    (Stage.BLOB, Kind.WRONG_BYTES, "digest-mismatch"),
    (Stage.BLOB, Kind.RESET, "unavailable"),
    (Stage.MANIFEST, Kind.HTML, "unavailable"),
]


@pytest.mark.parametrize(("stage", "kind", "word"), LASTING)
def test_mirror_source_fails_for_good_says_why_and_writes_no_tag(
    broken_source: FaultRegistry,
    registry: Registry,
    tmp_path: Path,
    stage: Stage,
    kind: Kind | int,
    word: str,
) -> None:
    broken_source.add(Fault(stage, kind, ALWAYS, retry_after=0 if kind == 429 else None))
    ran = _mirror(broken_source.address, registry.address, tmp_path, "--retry-times", "1")
    outcome = ran.only()
    assert (ran.code, outcome["status"], outcome["kind"]) == (1, "failed", word), outcome
    assert f"{broken_source.address}/team/app" in outcome["reason"]
    assert outcome["advice"]
    assert tags(registry.endpoint, "team/app") == []


def test_mirror_permanent_failure_is_tried_once(
    broken_source: FaultRegistry, registry: Registry, tmp_path: Path
) -> None:
    for stage in (Stage.HEAD_MANIFEST, Stage.MANIFEST):
        broken_source.add(Fault(stage, 403, ALWAYS))
    ran = _mirror(broken_source.address, registry.address, tmp_path)
    assert ran.only()["kind"] == "access-denied"
    # A HEAD has no words, so the manifest is asked for once.
    assert broken_source.count(Stage.HEAD_MANIFEST) == broken_source.count(Stage.MANIFEST) == 1


DESTINATION_PASSING = [
    (Stage.HEAD_MANIFEST, 503),
    (Stage.HEAD_MANIFEST, 403),
    (Stage.HEAD_BLOB, 500),
    (Stage.POST_UPLOAD, 503),
    (Stage.PUT_BLOB, 500),
    (Stage.PUT_BLOB, Kind.RESET),
    (Stage.PUT_BLOB, Kind.RESET_AFTER),
    (Stage.PUT_MANIFEST, 502),
    (Stage.PUT_MANIFEST, 429),
]


@pytest.mark.parametrize(("stage", "kind"), DESTINATION_PASSING)
def test_mirror_destination_fails_once_the_image_is_copied_all_the_same(
    source_registry: Registry,
    broken_destination: FaultRegistry,
    tmp_path: Path,
    stage: Stage,
    kind: Kind | int,
) -> None:
    push(source_registry.endpoint, "team/app", "1.0", images.docker_list(1))
    broken_destination.add(Fault(stage, kind, retry_after=0 if kind == 429 else None))
    ran = _mirror(source_registry.address, broken_destination.address, tmp_path)
    assert (ran.code, ran.statuses) == (0, ["copied"]), ran.stderr
    assert len(pull_everything(broken_destination, "team/app", "1.0").entries) == 2


DESTINATION_LASTING = [
    (Stage.POST_UPLOAD, 403, "access-denied"),
    (Stage.POST_UPLOAD, 401, "unauthorized"),
    (Stage.PUT_BLOB, 507, "disk-full"),
    (Stage.PUT_MANIFEST, 403, "access-denied"),
]


@pytest.mark.parametrize(("stage", "kind", "word"), DESTINATION_LASTING)
def test_mirror_destination_fails_for_good_says_why(
    source_registry: Registry,
    broken_destination: FaultRegistry,
    tmp_path: Path,
    stage: Stage,
    kind: int,
    word: str,
) -> None:
    push(source_registry.endpoint, "team/app", "1.0", images.docker_list(1))
    broken_destination.add(Fault(stage, kind, ALWAYS))
    ran = _mirror(
        source_registry.address, broken_destination.address, tmp_path, "--retry-times", "1"
    )
    assert (ran.code, ran.only()["kind"]) == (1, word), ran.stderr
    assert broken_destination.tags.get("team/app", {}) == {}


def test_mirror_one_platform_fails_the_old_index_stays(
    broken_source: FaultRegistry, registry: Registry, tmp_path: Path
) -> None:
    old = images.docker_list(9)
    push(registry.endpoint, "team/app", "1.0", old)
    wanted = next(e for e in images.docker_list(1).entries if _is_arm(e.platform))
    broken_source.add(Fault(Stage.CHILD, 500, ALWAYS, reference=wanted.digest))
    ran = _mirror(broken_source.address, registry.address, tmp_path, "--retry-times", "0")
    found = manifest(registry.endpoint, "team/app", "1.0")
    assert (ran.code, ran.statuses) == (1, ["failed"])
    assert found is not None
    assert found[0] == old.top.data


def test_mirror_destination_not_readable_never_overwrites(
    source_registry: Registry, broken_destination: FaultRegistry, tmp_path: Path
) -> None:
    push(source_registry.endpoint, "team/app", "1.0", images.oci_index(1))
    old = images.arm_variants(2)
    broken_destination.load("team/app", "1.0", old)
    broken_destination.add(Fault(Stage.MANIFEST, 500, ALWAYS, repository="team/app"))
    ran = _mirror(
        source_registry.address, broken_destination.address, tmp_path, "--retry-times", "0"
    )
    assert (ran.code, ran.only()["kind"]) == (1, "unavailable")
    assert broken_destination.tags["team/app"]["1.0"] == old.top.digest


def _held(registry: Registry) -> tuple[Image, Spot]:
    """Give an image that lies at the destination already, and where."""
    image = images.docker_list(1)
    push(registry.endpoint, "team/app", "1.0", image)
    return image, Spot(registry, "team/app", image)


def test_mirror_destination_has_lost_half_of_a_blob_no_image_is_published_over_it(
    broken_source: FaultRegistry, registry: Registry, tmp_path: Path
) -> None:
    image, spot = _held(registry)
    shutil.rmtree(spot.folder / "_manifests")
    blob = json.loads(image.find(image.entries[0].digest).data)["layers"][0]["digest"]
    os.truncate(spot.content(blob), 1000)
    # One that was started again: the other remembers the size.
    with start_registry(RegistryOptions(storage=registry.storage)) as again:
        ran = _mirror(broken_source.address, again.address, tmp_path)
        left = tags(again.endpoint, "team/app")
    outcome = ran.only()
    assert (ran.code, outcome["kind"], left) == (1, "digest-mismatch", []), ran.stderr
    assert f"{again.address}/team/app@{blob}: the registry has 1000 bytes" in outcome["reason"]
    assert "remove that blob" in outcome["advice"]


@pytest.mark.parametrize("lost", ["child", "layer"])
def test_mirror_destination_was_killed_while_it_wrote_what_it_has_half_is_written_anew(
    broken_source: FaultRegistry, registry: Registry, tmp_path: Path, lost: str
) -> None:
    image, spot = _held(registry)
    if lost == "child":
        shutil.rmtree(spot.folder / "_manifests/tags")
        link = spot.folder / f"_manifests/revisions/{spot.child.replace(':', '/')}/link"
    else:
        shutil.rmtree(spot.folder / "_manifests")
        link = spot.folder / f"_layers/{spot.layer.replace(':', '/')}/link"
    os.truncate(link, 0)
    with start_registry(RegistryOptions(storage=registry.storage)) as again:
        ran = _mirror(broken_source.address, again.address, tmp_path, "-a", "all")
        assert ran.statuses == ["copied"], ran.stderr
        assert pull_everything(again.endpoint, "team/app", "1.0").digest == image.top.digest


def test_mirror_destination_keeps_a_broken_manifest_no_image_is_published_over_it(
    broken_source: FaultRegistry, registry: Registry, tmp_path: Path
) -> None:
    _, spot = _held(registry)
    shutil.rmtree(spot.folder / "_manifests/tags")
    os.truncate(spot.content(spot.child), 0)
    with start_registry(RegistryOptions(storage=registry.storage)) as again:
        ran = _mirror(broken_source.address, again.address, tmp_path, "-a", "all")
        assert tags(again.endpoint, "team/app") == []
    assert (ran.code, ran.only()["kind"]) == (1, "unavailable")
    assert f"team/app@{spot.child}: the registry failed (500" in ran.only()["reason"]


def _is_arm(platform: object) -> bool:
    assert isinstance(platform, dict)
    return platform["architecture"] == "arm64"


@pytest.mark.parametrize("stage", [Stage.HEAD_MANIFEST, Stage.BLOB])
def test_mirror_source_hangs_the_time_limit_ends_it_and_others_go_on(
    broken_source: FaultRegistry, registry: Registry, tmp_path: Path, stage: Stage
) -> None:
    broken_source.load("team/other", "1.0", images.docker_list(2))
    broken_source.add(Fault(stage, Kind.HANG, ALWAYS, repository="team/app"))
    lines = "".join(f"{broken_source.address}/team/{name}:1.0\n" for name in ("app", "other"))
    words = ("-d", registry.address, "--timeout", "1500ms", "-j", "2")
    ran = mirror(tmp_path, lines, *words)
    broken_source.release()
    assert ran.statuses == ["failed", "copied"]
    assert ran.outcomes[0]["kind"] == "timed-out"
    assert "1.5 s" in ran.outcomes[0]["reason"]


def test_mirror_failed_list_fed_back_brings_the_rest(
    broken_source: FaultRegistry, registry: Registry, tmp_path: Path
) -> None:
    broken_source.load("team/other", "1.0", images.docker_list(2))
    address = broken_source.address
    lines = f"{address}/team/app:1.0   # keep me\n{address}/Team/Bad\n{address}/team/other:1.0\n"
    broken_source.add(Fault(Stage.MANIFEST, 403, repository="team/app"))
    first = mirror(tmp_path, lines, "-d", registry.address)
    failed = tmp_path / "failed.txt"
    written = failed.read_text().splitlines()
    assert (first.code, first.statuses) == (1, ["failed", "invalid", "copied"])
    assert [line for line in written if not line.startswith("#")] == [
        f"{address}/team/app:1.0   # keep me",
        f"{address}/Team/Bad",
    ]
    assert sum("access denied" in line for line in written) == 1
    second = mirror(tmp_path, failed.read_text(), "-d", registry.address, "--skip-invalid")
    assert (second.code, second.statuses) == (0, ["copied"])
    assert not failed.exists()


def test_mirror_rate_limit_is_one_rest_for_all_jobs(
    fault_registry: FaultRegistry, registry: Registry, tmp_path: Path
) -> None:
    for number in range(6):
        fault_registry.load(f"team/app{number}", "1.0", images.docker_list(number))
    fault_registry.add(Fault(Stage.CHILD, 429, retry_after=1))
    lines = "".join(f"{fault_registry.address}/team/app{n}:1.0\n" for n in range(6))
    ran = mirror(tmp_path, lines, "-d", registry.address, "-j", "6")
    limited = [seen for seen in fault_registry.requests if seen.status == 429]
    assert (ran.code, ran.statuses) == (0, ["copied"] * 6), ran.stderr
    begun = [seen.started for seen in fault_registry.requests if seen.started > limited[0].started]
    assert len(limited) == 1
    assert [
        moment for moment in begun if limited[0].started + 0.2 < moment < limited[0].started + 0.9
    ] == []
