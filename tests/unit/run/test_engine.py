"""The engine alone: its mode does what a test says, and the stores are never asked."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from image_tools.errors import (
    AccessDenied,
    Deferred,
    DiskFull,
    ImageToolsError,
    NotFound,
    QuotaExceeded,
    RateLimited,
    TimedOut,
    ToolMissing,
    Unauthorized,
    Unavailable,
)
from image_tools.imagelist.entry import Entry, ImageList, Problem
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.report import Status
from image_tools.run.context import RunContext
from image_tools.run.engine import Engine
from image_tools.run.job import Job
from image_tools.run.line.probe import Probed
from image_tools.run.progress import Snapshot
from image_tools.run.scheduler import Scheduler
from image_tools.run.transfer_job import TransferJob
from image_tools.stores.store import Abilities, ManifestHead
from tests.helpers.quick_loop import run
from tests.helpers.run_lab import (
    DESTINATION,
    SOURCE,
    FakeAdmission,
    FakeArchive,
    Lab,
    entry_of,
    list_of,
)

FIRST = f"{SOURCE}/team/app-1:1"
HEAD = ManifestHead(Digest.of(b"top"), media.OCI_INDEX, 100, SOURCE)
Act = Callable[[Job], Awaitable[Any]]


@dataclass(frozen=True)
class Ending:
    """How a line ended: a word, and the failure."""

    number: int
    text: str
    error: ImageToolsError | None = None


class ScriptedMode:
    """A mode that copies nothing; `acts` are done at a stage of a line, in turn.

    `passed` are the stages as they were reached.
    """

    reads_indexes_only = False

    def __init__(self, *, writes: bool = True) -> None:
        self.writes = writes
        self.passed: list[str] = []
        self.news = False
        self.moved: dict[int, int] = {}
        self._acts: dict[str, list[Act]] = {}

    def at(self, place: str, *acts: Act | Exception) -> None:
        """Do `acts` at `place`, `STAGE NUMBER`; an exception is raised."""
        made = [_raising(act) if isinstance(act, Exception) else act for act in acts]
        self._acts.setdefault(place, []).extend(made)

    async def probe(self, job: Job) -> Probed | Ending:
        await self._reached("probe", job)
        return Probed(HEAD, None, self.news)

    async def read_and_plan(self, job: Job, probed: Probed) -> TransferJob | Ending:
        await self._reached("plan", job)
        return TransferJob(entry=job.entry, options=Lab().options, source=probed.source)

    async def finish(self, job: Job, task: TransferJob) -> Ending:
        await self._reached("finish", job)
        return Ending(job.entry.number, "done")

    def failed(self, entry: Entry, error: ImageToolsError) -> Ending:
        return Ending(entry.number, str(error), error)

    def interrupted(self, entry: Entry, *, started: bool) -> Ending:
        return Ending(entry.number, "interrupted" if started else "not started")

    def invalid(self, problem: Problem) -> Ending:
        return Ending(problem.number, "invalid")

    def completed(self, result: Ending, *, seconds: float, moved: int) -> Ending:
        assert seconds >= 0.0
        self.moved[result.number] = moved
        return result

    def status(self, result: Ending) -> Status:
        return Status.COPIED if result.text == "done" else Status.FAILED

    async def _reached(self, stage: str, job: Job) -> None:
        place = f"{stage} {job.entry.number}"
        self.passed.append(place)
        if acts := self._acts.get(place):
            await acts.pop(0)(job)


def _raising(error: Exception) -> Act:
    async def act(_job: Job) -> None:
        raise error

    return act


def sleeping(seconds: float, error: Exception | None = None) -> Act:
    async def act(_job: Job) -> None:
        await asyncio.sleep(seconds)
        if error is not None:
            raise error

    return act


class Bench:
    """An engine over a list of so many lines; `told` are the results as they came."""

    def __init__(
        self, lines: int = 3, *, lab: Lab | None = None, writes: bool = True, **options: Any
    ) -> None:
        self.lab = Lab(**options) if lab is None else lab
        self.mode = ScriptedMode(writes=writes)
        self.images = list_of(*(f"{SOURCE}/team/app-{at}:1" for at in range(1, lines + 1)))
        self.told: list[int] = []
        self.engine: Engine[Ending] | None = None

    def run(self, images: ImageList | None = None, **more: Any) -> list[str]:
        """Return the texts of the results."""
        return [one.text for one in self.results(images, **more)]

    def results(self, images: ImageList | None = None, **more: Any) -> tuple[Ending, ...]:
        context = self.lab.new_run(**more)
        self.engine = self.made(context)
        return run(self.engine.run(self.images if images is None else images))

    def made(self, context: RunContext) -> Engine[Ending]:
        return Engine(context, self.mode, self._ended)

    @property
    def fatal(self) -> Exception | None:
        assert self.engine is not None
        return self.engine.fatal

    def _ended(self, result: Ending) -> Ending:
        self.told.append(result.number)
        return result


def test_line_passes_probe_plan_and_finish_and_the_tools_are_ready_before_the_last() -> None:
    bench = Bench(1)
    bench.mode.news = True

    assert bench.run() == ["done"]
    assert bench.mode.passed == ["probe 1", "plan 1", "finish 1"]
    assert bench.lab.events == ["tools are wanted"]
    assert bench.fatal is None


class Announced:
    """A registry that is told which repositories are coming."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell

    def expect(self, repositories: Iterable[str], *, push: bool) -> None:
        self.tell(f"expect {' '.join(repositories)}{' to push' if push else ''}")


@pytest.mark.parametrize("end", [SOURCE, DESTINATION])
def test_repositories_of_all_lines_are_announced_at_once_to_be_read(end: str) -> None:
    bench = Bench(3)
    bench.lab.store(end).abilities = Abilities(announcing=Announced(bench.lab.note))

    bench.run()

    assert bench.lab.events == ["expect team/app-1 team/app-2 team/app-3"]


@pytest.mark.parametrize(
    ("in_memory", "first"), [(1, ["probe 1", "plan 1"]), (2, ["probe 1", "probe 2"])]
)
def test_lines_of_two_registries_are_taken_up_as_far_as_memory_allows(
    in_memory: int, first: list[str]
) -> None:
    bench = Bench(3)

    assert bench.run(scheduler=Scheduler(2, 2, in_memory=in_memory)) == ["done"] * 3
    assert bench.mode.passed[:2] == first


@pytest.mark.parametrize("news", [True, False])
def test_tools_are_looked_for_early_only_where_the_source_is_news(news: bool) -> None:
    bench = Bench(1)
    bench.mode.news = news

    assert bench.run() == ["done"]
    assert bench.lab.events == (["tools are wanted"] if news else [])


def test_line_of_a_mode_that_does_not_write_needs_no_tools() -> None:
    bench = Bench(2, writes=False)
    bench.mode.news = True
    bench.lab.toolbox.missing = ToolMissing("no skopeo")

    assert bench.run() == ["done", "done"]
    assert bench.lab.events == []


@pytest.mark.parametrize("stage", ["probe", "plan", "finish"])
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NotFound("gone"), "gone"),
        (Unavailable("down"), "down"),
        (OSError(errno.EACCES, "not allowed"), "src.example/team/app-2:1: not allowed"),
    ],
    ids=["not found", "unavailable", "refused by the system"],
)
def test_line_that_fails_does_not_stop_the_others(stage: str, error: Exception, text: str) -> None:
    bench = Bench(3)
    bench.mode.at(f"{stage} 2", error)

    assert bench.run() == ["done", text, "done"]
    assert bench.fatal is None


def test_results_are_in_list_order_and_told_as_they_come() -> None:
    bench = Bench(0, jobs=4)
    images = list_of(
        f"{SOURCE}/team/slow:1", "no reference://", f"{SOURCE}/team/quick:1", f"{SOURCE}/team/x:1"
    )
    bench.mode.at("probe 1", sleeping(9.0))
    bench.mode.at("finish 3", sleeping(20.0))

    results = bench.results(images)

    assert [(one.number, one.text) for one in results] == [
        (1, "done"),
        (2, "invalid"),
        (3, "done"),
        (4, "done"),
    ]
    assert bench.told == [2, 4, 1, 3]


def test_progress_counts_every_line_once() -> None:
    bench = Bench(3)
    problem = Problem(number=4, line=4, raw="?", reason="no reference")
    bench.mode.at("plan 2", NotFound("gone"))

    bench.run(replace(bench.images, problems=(problem,)))

    assert bench.lab.progress.snapshot() == Snapshot(images_total=4, images_done=4, failed=2)


def test_line_that_would_copy_a_place_to_itself_is_refused_before_it_is_asked_about() -> None:
    bench = Bench(0)
    place = f"{SOURCE}/team/app:1"
    images = ImageList(name="", entries=(entry_of(1, place, place), entry_of(2)))

    first, second = bench.results(images)

    assert (first.error is not None, second.text) == (True, "done")
    assert bench.mode.passed == ["probe 2", "plan 2", "finish 2"]


def test_moved_bytes_of_each_line_reach_its_result() -> None:
    bench = Bench(2)

    async def move(job: Job) -> None:
        job.traffic.wrote(100 * job.entry.number)

    bench.mode.at("finish 1", move)
    bench.mode.at("finish 2", move)
    context = bench.lab.new_run()
    run(bench.made(context).run(bench.images))

    assert (bench.mode.moved, context.traffic.bytes_written) == ({1: 100, 2: 200}, 300)


@pytest.mark.parametrize(
    ("slow", "least", "most"),
    [(0.0, 0.0, 0.95), (0.5, 0.5, 20.0), (20.0, 1.0, 20.0)],
    ids=["quick", "slower", "silent"],
)
def test_first_image_begins_when_all_lines_are_planned_or_after_a_second(
    slow: float, least: float, most: float
) -> None:
    bench = Bench(2)
    times: list[float] = []

    async def look(_job: Job) -> None:
        times.append(asyncio.get_running_loop().time())

    bench.mode.at("probe 1", look)
    bench.mode.at("finish 1", look)
    bench.mode.at("plan 2", sleeping(slow))

    assert bench.run() == ["done"] * 2
    begun, worked_on = times
    assert least <= worked_on - begun < most


# Pull limits, and registries that ask to slow down.


def put_off(seconds: float | None = 60.0) -> Deferred:
    return Deferred("no pulls left", registry=SOURCE, needed=2, retry_after=seconds)


@pytest.mark.parametrize("stage", ["probe", "finish"])
def test_deferred_line_is_put_off_and_the_others_go_on(stage: str) -> None:
    bench = Bench(2)
    bench.mode.at(f"{stage} 1", put_off())

    first, second = bench.results()

    assert (type(first.error), second.text) == (Deferred, "done")


@pytest.mark.parametrize(
    ("stage", "passed"),
    [
        ("probe", ["probe 1", "probe 1", "plan 1", "finish 1"]),
        ("plan", ["probe 1", "plan 1", "plan 1", "finish 1"]),
        ("finish", ["probe 1", "plan 1", "finish 1", "plan 1", "finish 1"]),
    ],
)
def test_deferred_line_of_a_run_that_waits_is_taken_up_again(stage: str, passed: list[str]) -> None:
    bench = Bench(1, wait_for_quota=True)
    bench.mode.at(f"{stage} 1", put_off())

    assert bench.run() == ["done"]
    assert bench.mode.passed == passed


def test_deferred_line_that_no_waiting_helps_is_put_off_all_the_same() -> None:
    bench = Bench(1, wait_for_quota=True)
    bench.mode.at("probe 1", put_off(None))

    assert [type(one.error) for one in bench.results()] == [Deferred]


def test_line_that_does_not_fit_into_the_pull_budget_is_put_off_unread() -> None:
    bench = Bench(2, pull_budget=1)

    results = bench.results()

    assert [type(one.error) for one in results] == [Deferred, Deferred]
    assert sorted(bench.mode.passed) == ["probe 1", "probe 2"]


@pytest.mark.parametrize("stage", ["probe", "plan"])
@pytest.mark.parametrize(
    ("seconds", "waits", "ended"),
    [
        (None, False, RateLimited),
        (5.0, True, RateLimited),
        (7200.0, False, Deferred),
        (7200.0, True, None),
    ],
    ids=["unstated", "soon", "hours", "hours, and the run waits"],
)
def test_rate_limited_line(
    stage: str, seconds: float | None, waits: bool, ended: type[ImageToolsError] | None
) -> None:
    bench = Bench(1, wait_for_quota=waits)
    bench.mode.at(f"{stage} 1", RateLimited("slow down", retry_after=seconds))

    (result,) = bench.results()

    assert (type(result.error) if result.error else None) == ended


# Time.


@pytest.mark.parametrize("stage", ["probe", "plan", "finish"])
def test_time_out_ends_the_line_alone(stage: str) -> None:
    bench = Bench(2, timeout=5.0)
    bench.mode.at(f"{stage} 1", sleeping(5.5))

    first, second = bench.results()

    assert first.text == f"{FIRST}: not finished within 5 s, given up"
    assert (type(first.error), second.text) == (TimedOut, "done")


def test_time_out_does_not_count_what_a_line_waits_for_its_turn() -> None:
    bench = Bench(3, timeout=5.0, jobs=1)
    for number in (1, 2, 3):
        bench.mode.at(f"finish {number}", sleeping(4.0))

    assert bench.run() == ["done"] * 3


# What ends a run.


def test_bug_is_fatal_and_interrupts_the_other_lines() -> None:
    bench = Bench(4, jobs=2, ahead=False)
    bug = RuntimeError("a bug")
    bench.mode.at("finish 1", sleeping(100.0))
    bench.mode.at("finish 2", sleeping(1.0, bug))

    assert bench.run() == [
        "interrupted",
        "src.example/team/app-2:1: a bug",
        "not started",
        "not started",
    ]
    assert bench.fatal is bug


def test_tool_that_is_missing_ends_the_run() -> None:
    bench = Bench(3)
    bench.lab.toolbox.missing = ToolMissing("no skopeo")

    assert bench.run() == ["not started"] * 3
    assert bench.fatal is bench.lab.toolbox.missing
    assert not any(place.startswith("finish") for place in bench.mode.passed)


@pytest.mark.parametrize(
    ("archive", "error", "texts", "ends"),
    [
        (True, DiskFull("full"), ["full", "not started"], True),
        (
            True,
            OSError(errno.ENOSPC, "full"),
            ["src.example/team/app-1:1: full", "not started"],
            True,
        ),
        (True, DiskFull("full", status=507), ["full", "done"], False),
        (True, NotFound("gone"), ["gone", "done"], False),
        (False, DiskFull("full"), ["full", "done"], False),
    ],
    ids=[
        "archive",
        "archive, by the system",
        "the source's disk",
        "archive, another failure",
        "registry",
    ],
)
def test_disk_full_ends_a_run_that_writes_an_archive(
    archive: bool, error: Exception, texts: list[str], ends: bool
) -> None:
    bench = Bench(2, jobs=1)
    bench.lab.destination_archive = FakeArchive() if archive else None
    bench.mode.at("finish 1", error)

    assert bench.run() == texts
    assert (bench.fatal is not None) == ends


def test_stop_before_the_first_line_starts_none() -> None:
    bench = Bench(3)
    engine = bench.made(bench.lab.new_run())

    async def stopped() -> tuple[Ending, ...]:
        engine.stop()
        return await engine.run(bench.images)

    assert [one.text for one in run(stopped())] == ["not started"] * 3
    assert (bench.mode.passed, engine.fatal) == ([], None)


@pytest.mark.parametrize(
    ("stage", "text"),
    [("probe", "not started"), ("plan", "not started"), ("finish", "interrupted")],
)
def test_stop_tells_lines_that_were_begun_from_those_that_were_not(stage: str, text: str) -> None:
    bench = Bench(1)
    engine = bench.made(bench.lab.new_run())

    async def stop(_job: Job) -> None:
        engine.stop()
        await asyncio.sleep(100.0)

    bench.mode.at(f"{stage} 1", stop)

    assert [one.text for one in run(engine.run(bench.images))] == [text]


# What destinations refuse.


def guarded(bench: Bench, **refusals: Any) -> FakeAdmission:
    admission = FakeAdmission(bench.lab.note, **refusals)
    bench.lab.destination.abilities = Abilities(admission=admission)
    return admission


def test_login_that_is_refused_is_asked_about_once_for_all_lines() -> None:
    bench = Bench(3)
    refusal = Unauthorized("wrong password")
    guarded(bench, login_error=refusal)
    bench.mode.at("probe 1", Unauthorized("401"))
    bench.mode.at("probe 2", sleeping(1.0, Unauthorized("401")))
    bench.mode.at("probe 3", sleeping(1.0))

    assert bench.run(preflight=True) == [
        "401",
        "401",
        f"{DESTINATION}/team/app-3:1: not tried: 401",
    ]
    assert bench.lab.events.count("login") == 1


def test_push_that_is_refused_is_tried_once_for_a_repository() -> None:
    bench = Bench(0)
    guarded(bench, push_error=AccessDenied("no pushes"))
    images = list_of(*(f"{SOURCE}/team/{name}" for name in ("one:1", "one:2", "two:1")))

    results = bench.results(images, preflight=True)

    assert [one.text for one in results] == ["no pushes"] * 3
    assert bench.lab.events.count("try_push") == 2
    assert not any(place.startswith("finish") for place in bench.mode.passed)


def test_push_is_tried_only_where_something_will_be_copied() -> None:
    bench = Bench(1, writes=False)
    guarded(bench, push_error=AccessDenied("no pushes"))

    assert bench.run(preflight=True) == ["done"]
    assert bench.lab.events == []


def test_project_without_room_is_not_tried_again() -> None:
    bench = Bench(0, jobs=1)
    bench.mode.at("finish 1", QuotaExceeded("full"))
    images = list_of(*(f"{SOURCE}/{name}:1" for name in ("one/a", "one/b", "two/a")))

    assert bench.run(images) == [
        "full",
        f"{DESTINATION}/one/b:1: not tried, an earlier push was refused: full",
        "done",
    ]
