"""Whoever is killed, and whenever: the next run finishes, and nothing half is taken for whole."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.killing import FLIGHTS, Work, kill_child
from tests.helpers.registry import Registry, relaunched

MANY = 50
Start = Callable[..., Work]


@pytest.fixture
def start(registry: Registry, tmp_path: Path) -> Iterator[Start]:
    """Give what begins a work on a filled source; its seed is in the name of the test."""
    with FaultRegistry(FaultOptions(delay=0.002)) as source:

        def started(command: str, form: str, seed: int) -> Work:
            work = Work(command, form, source, registry, tmp_path, random.Random(seed))
            work.fill()
            return work

        yield started


def moments(command: str, form: str, few: int) -> list[object]:
    """Give the sample of a change and the whole of a soak."""
    name = f"{command}-{form}"
    soak = (pytest.mark.soak, pytest.mark.timeout(1200))
    return [
        pytest.param(command, form, few, id=f"{name}-{few}"),
        pytest.param(command, form, MANY, id=f"{name}-{MANY}", marks=soak),
    ]


@pytest.mark.parametrize(
    ("command", "form", "times"),
    [
        *moments("mirror", "gzip", 2),
        *moments("save", "gzip", 5),
        *moments("save", "dir", 1),
        *moments("load", "gzip", 2),
    ],
)
def test_program_killed_again_and_again_goes_on(
    start: Start, command: str, form: str, times: int
) -> None:
    work, done = start(command, form, times), 0
    while done < times:
        if work.kill_once():
            done += 1
            work.check_files()
            work.check_nothing_half()
        else:
            assert work.is_right()
            assert work.fetched_twice() <= work.kills * FLIGHTS
            work.next_round()
    work.finish()
    assert work.is_right()
    assert work.fetched_twice() <= work.kills * FLIGHTS


# What an archive has is loaded as it is: no list is left for buildx.
TOOLS = [
    ("skopeo", "mirror"),
    ("skopeo", "save"),
    ("skopeo", "load"),
    ("docker-buildx", "mirror"),
    ("docker-buildx", "save"),
]


@pytest.mark.parametrize(
    ("tool", "command", "times"),
    [
        *(pytest.param(tool, "mirror", 1, id=f"{tool}-mirror-1") for tool, _ in TOOLS[::3]),
        *(
            pytest.param(
                *pair,
                MANY,
                id="-".join((*pair, str(MANY))),
                marks=[pytest.mark.soak, pytest.mark.timeout(1200)],
            )
            for pair in TOOLS
        ),
    ],
)
def test_tool_killed_is_run_once_more(start: Start, tool: str, command: str, times: int) -> None:
    work = start(command, "gzip", times)
    for _ in range(times):
        with work.started() as process:
            # Each tool is asked for its version first.
            killed = kill_child(process.pid, tool, after=work.chance.randint(1, 6))
            _, said = process.communicate(timeout=60)
        assert killed
        assert process.returncode == 0, said
        assert work.is_right()
        assert work.fetched_twice() == 0
        work.next_round()


@pytest.mark.parametrize(
    ("command", "times"),
    [
        pytest.param("mirror", 1, id="mirror-1"),
        *(
            pytest.param(
                command, 50, id=f"{command}-50", marks=[pytest.mark.soak, pytest.mark.timeout(1200)]
            )
            for command in ("mirror", "load")
        ),
    ],
)
def test_destination_killed_and_started_again_gets_the_rest(
    start: Start, command: str, times: int
) -> None:
    work = start(command, "gzip", times)
    pid = work.destination.pid
    with ExitStack() as stack:
        for _ in range(times):
            moment = work.progress() + work.chance.randint(10, 150)
            with work.started() as process:
                while process.poll() is None and work.progress() < moment:
                    time.sleep(0.002)
                pause = work.chance.uniform(0.0, 0.3)
                pid = stack.enter_context(relaunched(work.destination, pid, after=pause))
                _, said = process.communicate(timeout=60)
            assert process.returncode in (0, 1), said
            work.check_files()
            work.check_nothing_half()
            work.finish()
            assert work.is_right()
            work.next_round()


@contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[None]:
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", folder], check=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a small disk")
@pytest.mark.parametrize("form", ["gzip", "dir"])
@pytest.mark.parametrize(
    "times",
    [1, pytest.param(50, marks=[pytest.mark.soak, pytest.mark.timeout(1200)])],
)
def test_disk_full_at_any_moment_is_said_and_with_room_it_goes_on(
    start: Start, tmp_path: Path, form: str, times: int
) -> None:
    work = start("save", form, times)
    disk = tmp_path / "disk"
    disk.mkdir()
    work.disk = disk
    for _ in range(times):
        with small_disk(disk, work.chance.randint(40, 200)):
            code, said = work.run()
            assert (code, "are free" in said) == (1, True), said
            work.check_files()
            subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
            code, said = work.run()
            assert code == 0, said
            # Who waits for a blob that finds no room tries it once more, before the run ends.
            assert work.fetched_twice() <= 2 * FLIGHTS
            assert work.is_right()
        work.next_round()
