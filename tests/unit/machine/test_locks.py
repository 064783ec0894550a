"""One run at a time: who gets the lock, who waits, who is told what."""

from __future__ import annotations

import errno
import fcntl
import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from image_tools.errors import AlreadyRunning, EnvironmentProblem
from image_tools.machine.cancel import Cancel
from image_tools.machine.locks import RunLock, lock_path, wait_for_lock
from tests.helpers.said import listened

REGISTRY = "reg.example:5000"
BUSY = f"another run works on {REGISTRY} with the same state (process {os.getpid()})"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return lock_path(tmp_path / "new" / "state.db", REGISTRY)


@pytest.fixture
def other(path: Path) -> RunLock:
    """Another run that holds the lock."""
    lock = RunLock(path, REGISTRY)
    lock.acquire(None, cancel=Cancel())
    return lock


def test_lock_path_differs_by_registry_and_by_state_only() -> None:
    one, two = Path("/s/state.db"), Path("/s/other.db")
    paths = [lock_path(state, name) for state in (one, two) for name in (REGISTRY, "docker.io")]

    assert len(set(paths)) == 4
    assert paths[0] == lock_path(one, REGISTRY)
    assert (paths[0].parent, paths[0].name[:9], paths[0].suffix) == (
        one.parent,
        "state.db.",
        ".lock",
    )


def test_lock_free_is_taken_and_holds_our_number(path: Path, other: RunLock) -> None:
    modes = [place.stat().st_mode & 0o777 for place in (path.parent, path)]

    assert (modes, path.read_text()) == ([0o700, 0o600], f"{os.getpid()}\n")


@pytest.mark.parametrize("wait", [None, 0.0, 0.01])
def test_lock_held_by_another_run_is_refused_with_its_number(
    path: Path, other: RunLock, wait: float | None
) -> None:
    with pytest.raises(AlreadyRunning) as raised:
        RunLock(path, REGISTRY).acquire(wait, cancel=Cancel())

    assert (str(raised.value), raised.value.exit_code) == (BUSY, 4)
    assert "--wait-lock" in raised.value.advice


@pytest.mark.parametrize("content", ["", "nonsense", "\xff" * 40])
def test_lock_held_by_nobody_known_is_refused_without_a_number(
    path: Path, other: RunLock, content: str
) -> None:
    path.write_text(content)

    with pytest.raises(AlreadyRunning, match=r"with the same state$"):
        RunLock(path, REGISTRY).acquire(None, cancel=Cancel())


def test_lock_released_is_free_and_its_file_stays(path: Path, other: RunLock) -> None:
    before = path.stat().st_ino
    other.release()
    other.release()

    RunLock(path, REGISTRY).acquire(None, cancel=Cancel())

    assert path.stat().st_ino == before


def test_lock_left_by_a_dead_run_with_a_longer_number_is_taken(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("1234567890123\n")

    RunLock(path, REGISTRY).acquire(None, cancel=Cancel())

    assert path.read_text() == f"{os.getpid()}\n"


class Patience(Cancel):
    """A wait that takes no time; with the third one something happens."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__()
        self._happens = happens
        self.waits: list[float | None] = []

    def wait(self, seconds: float | None = None) -> bool:
        self.waits.append(seconds)
        if len(self.waits) == 3:
            self._happens()
        return self.is_set()


@pytest.mark.parametrize("wait", [math.inf, 3600.0])
def test_lock_waited_for_comes_when_the_other_run_ends_and_is_said_once(
    path: Path, other: RunLock, wait: float
) -> None:
    patience = Patience(other.release)

    with listened() as said:
        RunLock(path, REGISTRY).acquire(wait, cancel=patience)

    assert said == [f"INFO waiting for another run on {REGISTRY} (process {os.getpid()})"]
    assert patience.waits == [0.25] * 3


def test_lock_waited_for_is_given_up_when_cancelled(path: Path, other: RunLock) -> None:
    patience = Patience(lambda: patience.set())

    with pytest.raises(AlreadyRunning):
        RunLock(path, REGISTRY).acquire(math.inf, cancel=patience)

    assert len(patience.waits) == 3


def test_locks_of_two_registries_do_not_meet(path: Path, other: RunLock) -> None:
    second = RunLock(lock_path(path.with_name("state.db"), "docker.io"), "docker.io")

    second.acquire(None, cancel=Cancel())

    assert len([*path.parent.iterdir()]) == 2


def test_lock_on_a_full_disk_is_taken_without_a_number(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_words: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)

    RunLock(path, REGISTRY).acquire(None, cancel=Cancel())

    with pytest.raises(AlreadyRunning):
        RunLock(path, REGISTRY).acquire(None, cancel=Cancel())


def test_lock_where_no_file_can_be_is_a_problem_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(EnvironmentProblem, match=r"Not a directory|File exists") as raised:
        RunLock(tmp_path / "file" / "x.lock", REGISTRY).acquire(None, cancel=Cancel())

    assert "--no-state" in raised.value.advice


def test_lock_on_a_file_system_without_locks_is_a_problem_of_the_machine(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_words: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    open_files = len([*Path("/proc/self/fd").iterdir()])

    with pytest.raises(EnvironmentProblem, match="No locks available"):
        RunLock(path, REGISTRY).acquire(None, cancel=Cancel())

    assert len([*Path("/proc/self/fd").iterdir()]) == open_files


@pytest.mark.parametrize("wait", [None, 0.0])
def test_wait_for_lock_that_may_not_wait_tries_once(wait: float | None) -> None:
    tries: list[int] = []

    def attempt() -> None:
        tries.append(1)
        raise AlreadyRunning("another run")

    with pytest.raises(AlreadyRunning):
        wait_for_lock(attempt, wait, Cancel())

    assert tries == [1]


def test_wait_for_lock_gets_what_is_free_at_last_and_says_once_that_it_waits() -> None:
    left, said = [AlreadyRunning("first"), AlreadyRunning("second")], []

    def attempt() -> str:
        if left:
            raise left.pop(0)
        return "free"

    found = wait_for_lock(attempt, math.inf, Cancel(), poll=0, on_wait=said.append)

    assert (found, list(map(str, said))) == ("free", ["first"])


def test_wait_for_lock_ends_when_it_is_cancelled() -> None:
    cancel = Cancel()

    def attempt() -> None:
        raise AlreadyRunning("another run")

    with pytest.raises(AlreadyRunning):
        wait_for_lock(attempt, math.inf, cancel, poll=60, on_wait=lambda _: cancel.set())
