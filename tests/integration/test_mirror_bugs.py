"""Defects that a review found, each with what showed it."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_tools.commands.list_run import ListRun
from image_tools.commands.request import ListRequest
from image_tools.commands.wiring import Surroundings
from image_tools.errors import Interrupted
from image_tools.imagelist.entry import ImageList
from image_tools.imagelist.reader import read_list
from image_tools.imagelist.registries import Registries
from image_tools.report import Status
from image_tools.run.line import confirm
from image_tools.run.options import Options
from image_tools.run.progress import Progress
from image_tools.run.tools.toolbox import Toolbox
from tests.helpers import images
from tests.helpers.client import Client, manifest, push, push_manifest
from tests.helpers.content import OCI_INDEX, Manifest, compact
from tests.helpers.fault_types import ALWAYS, Fault, Kind, Stage
from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.registry import Registry
from tests.helpers.running import mirror

# More than 64 are asked about at once, and more than 20 blobs are on their way.
MANY = 70


@pytest.fixture
def destination() -> Iterator[FaultRegistry]:
    with FaultRegistry() as double:
        yield double


@pytest.fixture
def good() -> Iterator[FaultRegistry]:
    with FaultRegistry() as double:
        for number in range(3):
            double.load(f"good/app{number}", "1.0", images.docker_list(number))
        yield double


@pytest.mark.parametrize("way", [(), ("--no-ahead",)], ids=["placing", "skopeo"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(Stage.HEAD_MANIFEST, Kind.HANG, ALWAYS),
        Fault(Stage.HEAD_MANIFEST, 429, ALWAYS, retry_after=600),
        Fault(Stage.BLOB, Kind.HANG, ALWAYS),
    ],
    ids=["silent", "limited", "silent-blobs"],
)
def test_mirror_one_registry_gives_no_answer_the_others_are_copied_meanwhile(
    fault_registry: FaultRegistry,
    good: FaultRegistry,
    destination: FaultRegistry,
    tmp_path: Path,
    fault: Fault,
    way: tuple[str, ...],
) -> None:
    silent = fault_registry
    for number in range(MANY):
        silent.load(f"team/app{number}", "1.0", images.docker_list(100 + number % 5))
    silent.add(fault)
    lines = [f"{silent.address}/team/app{number}:1.0\n" for number in range(MANY)]
    lines += [f"{good.address}/good/app{number}:1.0\n" for number in range(3)]
    copied_meanwhile: list[int] = []

    def watch() -> None:
        deadline = time.monotonic() + 30
        while (copied := _tags(destination, "good")) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        copied_meanwhile.append(copied)
        os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=watch)
    watcher.start()
    ran = mirror(tmp_path, "".join(lines), "-d", destination.address, "-j", "2", *way)
    watcher.join()
    silent.release()
    assert (copied_meanwhile, ran.code, len(ran.outcomes)) == ([3], 130, MANY + 3)


def _tags(registry: FaultRegistry, project: str) -> int:
    return sum(len(tags) for name, tags in list(registry.tags.items()) if name.startswith(project))


def test_mirror_disk_full_under_way_fails_the_image_and_is_no_bug(
    good: FaultRegistry, destination: FaultRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_folder = Toolbox.new_folder

    def full_once(self: Toolbox, name: str) -> Path:
        if name == "entries":
            monkeypatch.undo()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/x")
        return new_folder(self, name)

    monkeypatch.setattr(Toolbox, "new_folder", full_once)
    lines = "".join(f"{good.address}/good/app{number}:1.0\n" for number in range(2))
    ran = mirror(tmp_path, lines, "-d", destination.address)
    assert (ran.code, sorted(ran.statuses)) == (1, ["copied", "failed"])
    failed = next(outcome for outcome in ran.outcomes if outcome["status"] == "failed")
    assert failed["kind"] == "disk-full"
    assert failed["reason"].endswith(": /tmp/x: No space left on device")


def test_mirror_bug_in_one_image_keeps_its_outcome_and_that_of_the_others(
    good: FaultRegistry, destination: FaultRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: object) -> None:
        raise ValueError("a bug of a test")

    monkeypatch.setattr(confirm, "read_back", wrong)
    lines = "".join(f"{good.address}/good/app{number}:1.0\n" for number in range(3))
    ran = mirror(tmp_path, lines, "-d", destination.address)
    failed = (tmp_path / "failed.txt").read_text().splitlines()
    assert ran.code == 70
    assert "ValueError: a bug of a test" in ran.stderr
    assert len([line for line in failed if line.endswith(": a bug")]) == 1
    assert failed.count("# not started") == 2


def surroundings(progress: Progress) -> Surroundings:
    return Surroundings(environ=os.environ, progress=progress)


def _list(source: FaultRegistry, destination: FaultRegistry) -> ImageList:
    lines = f"{source.address}/good/app0 {destination.address}/good/app0 1.0\n"
    return read_list(lines.encode(), "list.txt", Registries())


def test_mirror_signal_before_the_first_line_is_begun_is_not_lost(
    good: FaultRegistry, destination: FaultRegistry
) -> None:
    with ListRun(ListRequest(), surroundings(Progress())) as run:
        run.cancel(signal.SIGTERM)
        report = run.run(_list(good, destination))
    assert [outcome.status for outcome in report.outcomes] == [Status.UNSTARTED]
    assert report.exit_code == 143
    assert destination.count(Stage.POST_UPLOAD) == 0


def test_mirror_signal_before_the_dry_run_is_begun_is_not_lost(
    good: FaultRegistry, destination: FaultRegistry
) -> None:
    request = ListRequest(options=Options(dry_run=True))
    with ListRun(request, surroundings(Progress())) as run:
        run.cancel(signal.SIGTERM)
        with pytest.raises(Interrupted) as ended:
            run.plan(_list(good, destination))
    assert ended.value.signal_exit_code == 143


def test_mirror_dry_run_leaves_no_state_behind(
    good: FaultRegistry, destination: FaultRegistry, tmp_path: Path
) -> None:
    line = f"{good.address}/good/app0:1.0\n"
    ran = mirror(tmp_path, line, "-d", destination.address, "--dry-run")
    assert ran.code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]


def test_mirror_failed_list_to_a_device_is_not_offered_as_a_list(
    good: FaultRegistry, destination: FaultRegistry, tmp_path: Path
) -> None:
    line = f"{good.address}/good/missing:1.0\n"
    ran = mirror(tmp_path, line, "-d", destination.address, "-o", "/dev/null")
    assert (ran.code, ran.statuses) == (1, ["failed"])
    assert "run again with -f" not in ran.stderr


@pytest.mark.parametrize("dry_run", [False, True], ids=["mirror", "dry-run"])
def test_mirror_progress_ends_with_as_many_images_as_it_expected(
    good: FaultRegistry, destination: FaultRegistry, dry_run: bool
) -> None:
    progress, host = Progress(), good.address
    lines = f"{host}/good/missing {destination.address}/good/app0 1.0\nthis is no line at all\n"
    listed = read_list(lines.encode(), "list.txt", Registries())
    with ListRun(ListRequest(options=Options(dry_run=dry_run)), surroundings(progress)) as run:
        ended = run.plan(listed).rows if dry_run else run.run(listed).outcomes
    seen = progress.snapshot()
    assert len(ended) == 2
    assert (seen.images_done, seen.images_total) == (2, 2)


@pytest.mark.parametrize(
    "more",
    [{"artifactType": "x/y"}, {"annotations": {"<&>": "ü"}}, {"data": "e30="}],
    ids=lambda more: next(iter(more)),
)
def test_mirror_index_of_entries_that_say_more_keeps_its_bytes(
    source_registry: Registry, registry: Registry, tmp_path: Path, more: dict[str, object]
) -> None:
    image = images.oci_index(3)
    push(source_registry.endpoint, "team/app", "plain", image)
    index = json.loads(image.top.data)
    index["manifests"][0].update(more)
    with Client(source_registry) as client:
        push_manifest(client, "team/app", "1.0", Manifest.of(compact(index), OCI_INDEX))
    lines = f"{source_registry.address}/team/app:1.0\n"

    ran = mirror(tmp_path, lines, "-d", registry.address, "--arch", "all", "--os", "all")

    assert (ran.code, ran.only()["digest_preserved"]) == (0, True), ran.stderr
    found = manifest(registry, "team/app", "1.0")
    assert found is not None
    assert json.loads(found[0]) == index


def test_mirror_platform_that_fails_behind_skopeo_is_there_before_the_index(tmp_path: Path) -> None:
    """An old skopeo gives up the index before it pushes it, and buildx writes it: over what?"""
    image = images.oci_index(3)
    index = json.loads(image.top.data)
    index["manifests"][0]["artifactType"] = "x/y"
    top = Manifest.of(compact(index), OCI_INDEX)
    # It takes an index whatever is missing below.
    with FaultRegistry() as source, FaultRegistry(FaultOptions(partial_indexes=True)) as registry:
        source.load("team/app", "plain", image)
        source.store.manifests["team/app"][top.digest] = top
        source.store.tags["team/app"]["1.0"] = top.digest
        last = index["manifests"][-1]["digest"]
        registry.add(Fault(Stage.PUT_MANIFEST, 503, times=1, reference=last))
        lines = f"{source.address}/team/app:1.0\n"

        ran = mirror(tmp_path, lines, "-d", registry.address, "--arch", "all", "--os", "all")

        held = registry.store.manifests["team/app"]
    assert ran.code == 0, ran.stderr
    assert {entry["digest"] for entry in index["manifests"]} <= set(held)
