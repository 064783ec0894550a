"""Whether destinations accept a login and pushes: asked once for all the lines of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from image_tools.errors import (
    AccessDenied,
    CopyFailed,
    ImageToolsError,
    QuotaExceeded,
    Unauthorized,
    Unavailable,
)
from image_tools.logins.auth_file import Credentials
from image_tools.run.job import Job
from image_tools.run.preflight import Preflight, Prompt
from image_tools.stores.store import Abilities
from tests.helpers.quick_loop import run
from tests.helpers.run_lab import DESTINATION, SOURCE, FakeAdmission, Lab, entry_of

RIGHT, WRONG = Credentials("me", "right"), Credentials("me", "wrong")


class Copy:
    """What a line gives that has to be copied."""


class Door(FakeAdmission):
    """A registry that lets in whoever has the right password."""

    async def login(self, repository: str = "") -> Credentials | None:
        self.tell("login")
        if self.credentials not in (None, RIGHT):
            raise Unauthorized("wrong password")
        return self.credentials


class Bench:
    """A preflight in front of a `closed` registry; `answers` are typed by somebody, in turn."""

    def __init__(
        self, *answers: Credentials | None, asks: bool = True, closed: bool = True
    ) -> None:
        self.lab = Lab()
        if closed:
            self.lab.destination.fail("manifest_head", lambda: Unauthorized("401"), times=9)
        self.door = Door(self.lab.note)
        self.lab.destination.abilities = Abilities(admission=self.door)
        self.prompts: list[Prompt] = []
        self._answers = [*answers]
        self.context = self.lab.new_run()
        self.preflight = Preflight(self.context.endpoints, self._ask if asks else None)

    def job(self, number: int = 1, name: str = "team/app") -> Job:
        source, destination = f"{SOURCE}/{name}:{number}", f"{DESTINATION}/{name}:{number}"
        return self.context.line_job(entry_of(number, source, destination))

    async def prepared(self, job: Job, *, copies: bool = False) -> object:
        """Return what a line gives; the registry is asked with the login of the moment."""

        async def prepare() -> object:
            self.lab.note(f"line {job.entry.number}")
            await asyncio.sleep(1.0)
            if self.door.credentials != RIGHT:
                raise Unauthorized("401")
            return Copy() if copies else None

        return await self.preflight.prepared(job, prepare, Copy)

    def _ask(self, prompt: Prompt) -> Credentials | None:
        self.prompts.append(prompt)
        return self._answers.pop(0) if self._answers else None


def error_of(work: Awaitable[object]) -> ImageToolsError:
    async def caught() -> ImageToolsError:
        with pytest.raises(ImageToolsError) as found:
            await work
        return found.value

    return run(caught())


def test_prepared_for_a_store_without_a_door_is_the_work_itself() -> None:
    bench = Bench()
    bench.lab.destination.abilities = Abilities()
    bench.door.credentials = RIGHT

    assert isinstance(run(bench.prepared(bench.job(), copies=True)), Copy)
    assert bench.lab.events == ["line 1"]


def test_prepared_tries_pushes_once_for_a_repository_that_is_copied_to() -> None:
    bench = Bench()
    bench.door.credentials = RIGHT

    async def work() -> None:
        await bench.prepared(bench.job(1))
        for number in (2, 3):
            await bench.prepared(bench.job(number), copies=True)
        await bench.prepared(bench.job(4, "team/other"), copies=True)

    run(work())

    assert bench.lab.events == [
        "line 1",
        "line 2",
        "try_push",
        "line 3",
        "line 4",
        "try_push",
    ]


# Logins that are typed.


def test_login_that_is_typed_is_used_for_all_lines_and_asked_for_once() -> None:
    bench = Bench(RIGHT)

    async def work() -> None:
        await asyncio.gather(*(bench.prepared(bench.job(number)) for number in (1, 2, 3)))

    run(work())

    (prompt,) = bench.prompts
    assert (prompt.registry, prompt.reason, prompt.is_plain) == (DESTINATION, "401", False)
    assert bench.door.credentials == RIGHT
    assert bench.lab.events.count("line 2") == 2


def test_login_that_is_wrong_is_asked_for_again_with_the_reason() -> None:
    bench = Bench(WRONG, None, RIGHT)

    run(bench.prepared(bench.job()))

    assert [prompt.reason for prompt in bench.prompts] == [
        "401",
        "wrong password",
        "wrong password",
    ]


@pytest.mark.parametrize("asks", [True, False], ids=["three wrong ones", "nobody to ask"])
def test_login_that_stays_wrong_closes_the_registry(asks: bool) -> None:
    bench = Bench(WRONG, WRONG, WRONG, RIGHT, asks=asks)

    async def work() -> list[str]:
        said = []
        for number in (1, 2):
            try:
                await bench.prepared(bench.job(number))
            except Unauthorized as error:
                said.append(str(error))
        return said

    assert run(work()) == ["401", f"{DESTINATION}/team/app:2: not tried: 401"]
    assert len(bench.prompts) == (3 if asks else 0)
    assert "line 2" not in bench.lab.events


def test_refusal_of_the_source_is_no_reason_to_ask_for_a_login() -> None:
    bench = Bench(RIGHT, closed=False)

    async def work() -> None:
        async def refused() -> None:
            raise Unauthorized("the source says no")

        await bench.preflight.prepared(bench.job(), refused)

    # Nobody is logged in, and the destination shows its tag all the same.
    assert str(error_of(work())) == "the source says no"
    assert bench.prompts == []


# Pushes.


def pushing(bench: Bench, error: ImageToolsError) -> Callable[[int], Awaitable[object]]:
    bench.door.credentials = RIGHT
    bench.door.push_error = error
    return lambda number: bench.prepared(bench.job(number), copies=True)


def test_push_that_a_login_may_not_make_names_the_right_that_is_missing() -> None:
    bench = Bench(RIGHT)
    push = pushing(bench, Unauthorized("401 for the push"))

    found = error_of(push(1))

    assert str(found) == "401 for the push"
    assert found.advice.startswith("the login is accepted and may not push here")
    assert bench.prompts == []


def test_push_that_is_refused_is_the_end_of_all_images_of_that_repository() -> None:
    bench = Bench()
    push = pushing(bench, AccessDenied("no pushes"))

    assert [str(error_of(push(number))) for number in (1, 2)] == ["no pushes", "no pushes"]
    assert bench.lab.events.count("try_push") == 1


@pytest.mark.parametrize("exhausted", [True, False])
def test_push_that_may_work_later_is_left_to_the_copy(exhausted: bool) -> None:
    bench = Bench()
    error = Unavailable("down")
    error.exhausted, error.temporary = exhausted, not exhausted
    push = pushing(bench, error)

    assert isinstance(run(_awaited(push(1))), Copy)


def test_push_that_a_quota_refuses_closes_the_project() -> None:
    bench = Bench()
    push = pushing(bench, QuotaExceeded("full"))

    async def work() -> None:
        with pytest.raises(QuotaExceeded):
            await push(1)
        await bench.prepared(bench.job(2, "team/other"), copies=True)

    assert "not tried, an earlier push was refused: full" in str(error_of(work()))
    assert bench.lab.events.count("try_push") == 1


@pytest.mark.parametrize("made", ["made", "refused"])
def test_push_is_tried_when_its_project_is_there(made: str) -> None:
    class Projects:
        async def ensure_project(self, repository: str) -> bool:
            bench.lab.note(f"project of {repository}")
            if made == "refused":
                raise AccessDenied("no new projects")
            return True

    bench = Bench()
    bench.door.credentials = RIGHT
    bench.lab.destination.abilities = Abilities(admission=bench.door, projects=Projects())
    work = bench.prepared(bench.job(), copies=True)

    if made == "refused":
        assert isinstance(error_of(work), CopyFailed)
    else:
        run(_awaited(work))
    assert bench.lab.events == [
        "line 1",
        "project of team/app",
        *(["try_push"] if made == "made" else []),
    ]


async def _awaited(work: Awaitable[object]) -> object:
    return await work
