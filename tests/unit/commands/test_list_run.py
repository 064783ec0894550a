"""A run over an image list: its request in, its report out; stores in memory, no tools."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from image_tools.commands.archives import ArchiveDestination, ArchiveSource
from image_tools.commands.inventory import archive_inventory
from image_tools.commands.list_run import demand_of
from image_tools.commands.request import ListRequest
from image_tools.errors import AlreadyRunning, ArchiveDamaged, CopyFailed, Interrupted, NotFound
from image_tools.imagelist.entry import ImageList
from image_tools.imagelist.line import into_archive, resolve
from image_tools.imagelist.reader import Resolve, read_list
from image_tools.imagelist.registries import Registries
from image_tools.machine.cancel import Cancel
from image_tools.machine.locks import RunLock, lock_path
from image_tools.oci.digest import Digest
from image_tools.plan.selection import Selection
from image_tools.report import DryRunPlan, PlanAction, Report, Status
from image_tools.retry import RetryPolicy
from image_tools.run.deep_walk import Depth
from image_tools.run.options import Options
from image_tools.run.validation import Validation
from image_tools.stores.archive.content import Form
from image_tools.stores.archive.opening import read_archive
from tests.helpers.memory_run import add_image, memory_run
from tests.helpers.memory_store import MemoryStore

AMD, ARM = "linux/amd64", "linux/arm64"
ONCE = Options(retry=RetryPolicy(times=0, delay=0.0))
REQUEST = ListRequest(options=ONCE, insecure_policy=True)
AMD_ONLY = Selection(architectures=frozenset({"amd64"}))


class Lab:
    """Two registries in memory, and the folder of a run."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.source, self.destination = MemoryStore("src.example"), MemoryStore("dest.example")
        self.app = add_image(self.source, "team/app", "1", AMD, ARM)

    def images(self, *names: str, to: Resolve = resolve) -> ImageList:
        """Return a list of images of the source registry."""
        lines = "".join(f"{name}\n" for name in names)
        registries = Registries(source="src.example", destination="dest.example")
        return read_list(lines.encode(), "list.txt", registries, to)

    def run(self, request: ListRequest, *names: str, to: Resolve = resolve) -> Report:
        with memory_run(request, self.home, self.source, self.destination) as run:
            return run.run(self.images(*names, to=to))

    def plan(self, request: ListRequest, *names: str, to: Resolve = resolve) -> DryRunPlan:
        dry = replace(request, options=replace(request.options, dry_run=True))
        with memory_run(dry, self.home, self.source, self.destination) as run:
            return run.plan(self.images(*names, to=to))

    def save(self, *names: str, **choice: object) -> Report:
        """Save images into the folder archive `images`."""
        end = ArchiveDestination(path=self.archive, form=Form.FOLDER, **choice)  # type: ignore[arg-type]
        request = replace(REQUEST, command="save", destination=end)
        return self.run(request, *names, to=into_archive)

    @property
    def archive(self) -> Path:
        return self.home / "images"

    def tags(self, store: MemoryStore, repository: str) -> dict[str, Digest]:
        return dict(store.repositories[repository].tags)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def statuses(report: Report) -> list[str]:
    return [outcome.status.value for outcome in report.outcomes]


def test_copy_brings_the_image_and_reports_it(lab: Lab) -> None:
    report = lab.run(REQUEST, "team/app:1")
    (outcome,) = report.outcomes

    assert (report.command, report.exit_code, report.failed_list) == ("mirror", 0, "")
    assert (outcome.status, outcome.digest, outcome.platforms) == (
        Status.COPIED,
        str(lab.app),
        (AMD, ARM),
    )
    assert lab.tags(lab.destination, "team/app") == {"1": lab.app}
    held = lab.source.repositories["team/app"], lab.destination.repositories["team/app"]
    assert held[0].blobs == held[1].blobs


def test_copy_of_chosen_platforms_brings_only_these(lab: Lab) -> None:
    request = replace(REQUEST, options=replace(ONCE, selection=AMD_ONLY))
    (outcome,) = lab.run(request, "team/app:1").outcomes

    assert (outcome.status, outcome.platforms) == (Status.COPIED, (AMD,))
    assert len(lab.destination.repositories["team/app"].blobs) == 2


def test_copy_again_is_unchanged_and_costs_two_questions(lab: Lab) -> None:
    request = replace(REQUEST, state=lab.home / "state.db")
    lab.run(request, "team/app:1")
    lab.source.calls.clear()
    lab.destination.calls.clear()

    assert statuses(lab.run(request, "team/app:1")) == ["unchanged"]
    asked = [call.operation for call in (*lab.source.calls, *lab.destination.calls)]
    assert asked == ["manifest_head"] * 2


def test_copy_line_that_fails_is_a_row_and_a_line_of_the_failed_list(lab: Lab) -> None:
    failed = lab.home / "failed.txt"
    request = replace(REQUEST, failed=failed)
    report = lab.run(request, "team/app:1", "team/none:1", "a b c d e")

    assert statuses(report) == ["copied", "failed", "invalid"]
    assert (report.exit_code, report.failed_list) == (1, str(failed))
    lines = [line for line in failed.read_text().splitlines() if not line.startswith("#")]
    assert lines == ["team/none:1", "a b c d e"]


def test_copy_next_list_of_a_run_keeps_what_failed_before(lab: Lab) -> None:
    request = replace(REQUEST, failed=lab.home / "failed.txt")
    with memory_run(request, lab.home, lab.source, lab.destination) as run:
        first = run.run(lab.images("team/none:1"))
        second = run.run(lab.images("team/app:1"))

    assert (statuses(first), statuses(second)) == (["failed"], ["copied"])
    assert "team/none:1" in (lab.home / "failed.txt").read_text()


def test_copy_reasons_are_cleaned_of_secrets(lab: Lab) -> None:
    lab.source.fail("manifest_head", lambda: CopyFailed("src.example: token hunter22"), times=9)
    run = memory_run(REQUEST, lab.home, lab.source, lab.destination)
    run._surroundings = replace(
        run._surroundings, clean=lambda text: text.replace("hunter22", "***")
    )
    with run:
        (outcome,) = run.run(lab.images("team/app:1")).outcomes

    assert "token ***" in outcome.reason


def test_copy_from_a_place_to_itself_fails_its_line(lab: Lab) -> None:
    images = lab.images("team/app:1")
    (entry,) = images.entries
    images = replace(images, entries=(replace(entry, destination=entry.source),))
    with memory_run(REQUEST, lab.home, lab.source) as run:
        assert statuses(run.run(images)) == ["failed"]


@pytest.mark.parametrize("copied", [False, True])
def test_dry_run_tells_what_a_run_would_do_and_writes_nothing(lab: Lab, copied: bool) -> None:
    if copied:
        lab.run(REQUEST, "team/app:1")
    lab.destination.calls.clear()
    row, missing = lab.plan(replace(REQUEST, state=lab.home / "s.db"), "team/app:1", "no:1").rows

    size = sum(map(len, lab.source.repositories["team/app"].blobs.values()))
    assert (row.action, row.bytes_to_move) == (
        (PlanAction.UNCHANGED, 0) if copied else (PlanAction.COPY, size)
    )
    assert missing.action is PlanAction.FAIL
    assert not {"put_manifest", "upload", "mount"} & {c.operation for c in lab.destination.calls}
    assert not (lab.home / "s.db").exists()


DEPTHS = [Validation(depth=depth) for depth in Depth]


@pytest.mark.parametrize("validation", DEPTHS, ids=lambda one: one.depth.value)
def test_validation_passes_what_was_copied_and_writes_nothing(
    lab: Lab, validation: Validation
) -> None:
    lab.run(REQUEST, "team/app:1")
    lab.destination.calls.clear()
    request = replace(
        REQUEST, command="mirror-validate", validation=validation, state=lab.home / "s.db"
    )
    report = lab.run(request, "team/app:1")

    assert (report.command, statuses(report), report.exit_code) == (
        "mirror-validate",
        ["passed"],
        0,
    )
    assert not {"put_manifest", "upload", "mount"} & {c.operation for c in lab.destination.calls}
    assert not [*lab.home.glob("s.db*")]


def test_validation_of_what_differs_fails_and_names_it(lab: Lab) -> None:
    add_image(lab.destination, "team/app", "1", AMD)
    request = replace(REQUEST, validation=Validation(), failed=lab.home / "failed.txt")
    report = lab.run(request, "team/app:1", "team/none:1")

    assert statuses(report) == ["failed", "failed"]
    assert report.outcomes[0].kind == "different"
    assert "team/app:1" in (lab.home / "failed.txt").read_text()


def test_archive_destination_holds_what_was_saved_and_remembers_it(lab: Lab) -> None:
    assert statuses(lab.save("team/app:1")) == ["copied"]
    archive = read_archive(lab.archive)
    images = {str(one): archive.tagged(one) for one in archive.images}
    archive.close()
    lab.source.calls.clear()

    assert [entry and entry.digest for entry in images.values()] == [lab.app]
    assert statuses(lab.save("team/app:1")) == ["unchanged"]
    assert [call.operation for call in lab.source.calls] == ["manifest_head"]


def test_archive_destination_that_is_replaced_loses_what_the_list_has_not(lab: Lab) -> None:
    add_image(lab.source, "team/other", "1", AMD)
    lab.save("team/app:1")
    lab.save("team/other:1", replace=True)
    archive = read_archive(lab.archive)

    assert [one.repository for one in archive.images] == ["team/other"]
    archive.close()


def test_archive_destination_that_another_run_writes_is_refused(lab: Lab) -> None:
    lab.save("team/app:1")
    end = ArchiveDestination(path=lab.archive, form=Form.FOLDER)
    request = replace(REQUEST, destination=end)
    with (
        memory_run(request, lab.home, lab.source),
        pytest.raises(AlreadyRunning) as refused,
        memory_run(request, lab.home, lab.source),
    ):
        pass

    assert refused.value.advice == "wait for it with --wait-lock"


@pytest.mark.parametrize("saved", [False, True])
def test_archive_destination_in_a_dry_run_is_not_made(lab: Lab, saved: bool) -> None:
    if saved:
        lab.save("team/app:1")
    end = ArchiveDestination(path=lab.archive, form=Form.FOLDER)
    (row,) = lab.plan(replace(REQUEST, destination=end), "team/app:1", to=into_archive).rows

    assert row.action is (PlanAction.UNCHANGED if saved else PlanAction.COPY)
    assert lab.archive.exists() is saved


def test_archive_destination_is_validated(lab: Lab) -> None:
    lab.save("team/app:1")
    end = ArchiveDestination(path=lab.archive, form=Form.FOLDER)
    request = replace(REQUEST, destination=end, validation=Validation(depth=Depth.CONTENT))

    assert statuses(lab.run(request, "team/app:1", to=into_archive)) == ["passed"]


@pytest.fixture
def saved(lab: Lab) -> ListRequest:
    """A request to load what was saved."""
    lab.save("team/app:1")
    return replace(REQUEST, command="load", source=ArchiveSource(path=lab.archive))


def test_archive_source_is_loaded_and_remembered(lab: Lab, saved: ListRequest) -> None:
    request = replace(saved, state=lab.home / "state.db")

    assert statuses(lab.run(request, "team/app:1")) == ["copied"]
    assert lab.tags(lab.destination, "team/app") == {"1": lab.app}
    assert statuses(lab.run(request, "team/app:1")) == ["unchanged"]


def test_archive_source_names_its_images(lab: Lab, saved: ListRequest) -> None:
    with memory_run(saved, lab.home, lab.destination) as run:
        assert list(map(str, run.images)) == ["src.example/team/app:1"]
    with memory_run(REQUEST, lab.home) as run:
        assert run.images == ()


def test_archive_source_is_exported_with_its_origins(lab: Lab, saved: ListRequest) -> None:
    other = lab.home / "copy"
    end = ArchiveDestination(path=other, form=Form.FOLDER)
    report = lab.run(replace(saved, destination=end), "team/app:1", to=into_archive)

    assert statuses(report) == ["copied"]
    archive = read_archive(other)
    (image,) = archive.images
    origin = archive.origin(image)
    archive.close()
    assert origin is not None
    assert origin.source == "src.example/team/app:1"


def test_delta_archive_is_loaded_only_where_its_base_is(lab: Lab) -> None:
    lab.save("team/app:1")
    base = lab.archive.rename(lab.home / "base")
    # The new image has the config of the old one, which the delta leaves out.
    lab.source.repositories["team/app"].tags["1"] = add_image(lab.source, "team/app", "2", AMD)
    lab.save("team/app:1", base=archive_inventory(base))

    def load(path: Path) -> list[str]:
        source = ArchiveSource(path=path)
        return statuses(lab.run(replace(REQUEST, command="load", source=source), "team/app:1"))

    with pytest.raises(NotFound, match="relies on"):
        load(lab.archive)
    assert lab.tags(lab.destination, "team/app") == {}
    assert load(base) == ["copied"]
    assert load(lab.archive) == ["copied"]


def test_interrupted_before_the_start_leaves_all_lines_unstarted(lab: Lab) -> None:
    request = replace(REQUEST, failed=lab.home / "failed.txt")
    with memory_run(request, lab.home, lab.source, lab.destination) as run:
        run.cancel(signal.SIGTERM)
        report = run.run(lab.images("team/app:1", "team/none:1"))

    assert statuses(report) == ["unstarted", "unstarted"]
    assert (report.exit_code, report.interrupted_by) == (143, signal.SIGTERM)
    assert lab.destination.calls == []


def test_interrupted_before_a_dry_run_is_raised(lab: Lab) -> None:
    with memory_run(REQUEST, lab.home, lab.source, lab.destination) as run:
        run.cancel(signal.SIGINT)
        with pytest.raises(Interrupted):
            run.plan(lab.images("team/app:1"))


def test_interrupted_save_is_not_published(lab: Lab) -> None:
    end = ArchiveDestination(path=lab.archive, form=Form.FOLDER)
    with memory_run(replace(REQUEST, destination=end), lab.home, lab.source) as run:
        run.cancel(signal.SIGTERM)
        run.run(lab.images("team/app:1", to=into_archive))

    assert not lab.archive.exists()
    assert statuses(lab.save("team/app:1")) == ["copied"]


def test_lock_of_another_run_is_respected_except_by_a_validation(lab: Lab) -> None:
    request = replace(REQUEST, state=lab.home / "state.db")
    lock = RunLock(lock_path(lab.home / "state.db", "dest.example"), "dest.example")
    lock.acquire(None, cancel=Cancel())
    with pytest.raises(AlreadyRunning):
        lab.run(request, "team/app:1")
    compared = lab.run(replace(request, validation=Validation()), "team/app:1")
    lock.release()

    assert statuses(compared) == ["failed"]
    assert statuses(lab.run(request, "team/app:1")) == ["copied"]


def test_demand_is_what_the_options_choose() -> None:
    demand = demand_of(Options(selection=AMD_ONLY, overwrite=True, names_platforms=False))

    assert (demand.architectures, demand.systems) == (frozenset({"amd64"}), frozenset({"linux"}))
    assert (demand.overwrite, demand.names_platforms, demand.keep_single) == (True, False, False)


def damaged(lab: Lab) -> Path:
    """Save an image and destroy a layer of it; return the archive."""
    lab.save("team/app:1")
    layer = Digest.of(b"team/app:1 for linux/amd64")
    blob = lab.archive / "blobs/sha256" / layer.hex
    blob.chmod(0o644)
    blob.write_bytes(b"x" * len(b"team/app:1 for linux/amd64"))
    return blob


def repair(lab: Lab, *names: str) -> Report:
    end = ArchiveDestination(path=lab.archive, form=Form.FOLDER, repair=True)
    request = replace(REQUEST, destination=end, options=replace(ONCE, force=True))
    return lab.run(request, *names, to=into_archive)


def test_repair_fetches_what_is_damaged_by_the_digest_it_was_saved_with(lab: Lab) -> None:
    add_image(lab.source, "team/whole", "1", AMD)
    lab.save("team/whole:1")
    blob = damaged(lab)
    add_image(lab.source, "team/app", "1", "linux/s390x")
    report = repair(lab, "team/app:1", "team/whole:1")

    assert [outcome.source for outcome in report.outcomes] == [f"src.example/team/app:1@{lab.app}"]
    assert statuses(report) == ["copied"]
    assert blob.read_bytes() == b"team/app:1 for linux/amd64"


def test_repair_with_a_list_that_does_not_name_the_image_is_refused(lab: Lab) -> None:
    damaged(lab)
    add_image(lab.source, "team/other", "1", AMD)

    with pytest.raises(ArchiveDamaged, match=r"is missing of src\.example/team/app:1"):
        repair(lab, "team/other:1")
