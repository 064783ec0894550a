"""Children as they really are: they hang, hold pipes, ignore signals and print too much."""

from __future__ import annotations

import contextvars
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import plumbum
import pytest

from image_tools.errors import EnvironmentProblem, ToolMissing
from image_tools.machine import child as child_module
from image_tools.machine.cancel import Cancel
from image_tools.machine.child import STDERR_BOUND, STDOUT_BOUND, running
from image_tools.machine.run import CompletedRun, kill_all, run
from tests.helpers.children import is_gone
from tests.helpers.documents import ROOT

LONG = 60.0
# Whoever is told to end prints no word and leaves nothing: these children are shells.
STUBBORN = "trap '' TERM INT HUP; "


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    """No thread, no file, no zombie and no note of a child is left by any test."""
    gc.collect()
    threads, files = set(threading.enumerate()), open_files()
    yield
    gc.collect()
    assert set(threading.enumerate()) == threads
    assert (open_files(), running) == (files, {})
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def open_files() -> list[str]:
    return sorted(one.name for one in Path("/proc/self/fd").iterdir())


def sh(script: str, *, timeout: float | None = LONG, **more: Any) -> CompletedRun:
    environment = more.pop("environment", {"PATH": os.environ["PATH"]})
    return run(("/bin/sh", "-c", script), environment=environment, timeout=timeout, **more)


def python(script: str, **more: Any) -> CompletedRun:
    return run((sys.executable, "-c", script), environment={}, timeout=LONG, **more)


def when_printed(action: Callable[[], None], word: str = "ready") -> Callable[[str], None]:
    """A hearer that acts, in a thread of its own, as soon as the child has printed `word`."""

    def hear(line: str) -> None:
        if line == word:
            thread = threading.Thread(target=action)
            thread.start()
            thread.join()

    return hear


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo out; echo err >&2; exit 3", (3, b"out\n", "err\n")),
        ("printf 'no end'", (0, b"no end", "")),
        ("printf '\\377\\n' >&2", (0, b"", "\ufffd\n")),
        ("kill -9 $$", (-9, b"", "")),
        ("cat", (0, b"", "")),
        (":", (0, b"", "")),
    ],
)
def test_run_child_that_ends_gives_code_and_both_outputs(
    script: str, expected: tuple[int, bytes, str]
) -> None:
    found = sh(script)

    assert (found.returncode, found.stdout, found.stderr) == expected
    assert (found.timed_out, found.cancelled, found.truncated) == (False, False, False)


def test_run_shows_the_child_the_given_environment_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_PASSWORD", "s3cret")
    run(("/bin/true",), environment={}, timeout=LONG)
    plumbum.local.env.getdict()

    found = run(("/usr/bin/env",), environment={"A": "1", "B": "x=y"}, timeout=LONG)

    assert sorted(found.stdout.splitlines()) == [b"A=1", b"B=x=y"]


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_run_feeds_standard_input_whole(size: int) -> None:
    content = os.urandom(size)

    assert sh("cat", stdin=content).stdout == content


def test_run_child_that_does_not_read_its_input_ends_well() -> None:
    assert sh("exit 4", stdin=bytes(3_000_000)).returncode == 4


def test_run_keeps_the_first_of_stdout_and_the_last_of_stderr() -> None:
    script = (
        "import sys; out = sys.stdout.buffer; err = sys.stderr.buffer\n"
        f"out.write(b'first' + b'o' * {STDOUT_BOUND})\n"
        "err.write(b'e' * 1000000 + b'last')"
    )

    found = python(script)

    assert (len(found.stdout), found.stdout[:6]) == (STDOUT_BOUND, b"firsto")
    assert (len(found.stderr), found.stderr[-5:]) == (STDERR_BOUND, "elast")
    assert found.truncated


def test_run_lines_come_as_they_are_printed_in_order_in_the_callers_context() -> None:
    name = contextvars.ContextVar("name", default="nobody")
    name.set("caller")
    heard, seen = [], threading.Event()

    def hear(line: str) -> None:
        heard.append((line, name.get()))
        if line == "third":
            seen.set()

    def wait_and_end() -> None:
        assert seen.wait(LONG)
        cancel.set()

    cancel = Cancel()
    waiting = threading.Thread(target=wait_and_end)
    waiting.start()
    # The child never ends by itself: the lines are there before it does.
    sh("printf 'first\\r\\nsecond\\nthird\\n'; exec sleep 600", on_line=hear, cancel=cancel)
    waiting.join()

    assert heard == [("first", "caller"), ("second", "caller"), ("third", "caller")]


def test_run_hears_one_line_at_a_time_of_both_outputs() -> None:
    inside, most, lines = [0], [0], []

    def hear(line: str) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.0005)
        lines.append(line)
        inside[0] -= 1

    found = sh("for n in 1 2 3 4 5 6 7 8 9; do echo o$n; echo e$n >&2; done", on_line=hear)

    assert most == [1]
    assert [line for line in lines if line[0] == "o"] == found.stdout.decode().split()
    assert [line for line in lines if line[0] == "e"] == found.stderr.split()


def test_run_hearer_that_raises_is_raised_after_the_child_has_ended(tmp_path: Path) -> None:
    def hear(line: str) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match=r"^one$"):
        sh(f"echo one; echo two; touch {tmp_path}/ended", on_line=hear)
    assert (tmp_path / "ended").exists()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("echo $$; exec sleep 600", id="alone"),
        pytest.param("sleep 600 & echo $!; wait", id="grandchild holds the pipe"),
        pytest.param("sleep 600 >/dev/null 2>&1 & echo $!; wait", id="grandchild without pipes"),
        pytest.param(f"({STUBBORN} sleep 600) & echo $!; wait", id="stubborn grandchild"),
        pytest.param("sleep 600 & echo $!; exit 0", id="leader gone"),
    ],
)
def test_run_that_was_cancelled_leaves_nobody_of_the_group(script: str) -> None:
    cancel = Cancel()
    found = sh(script, cancel=cancel, on_line=lambda _: cancel.set())

    assert is_gone(int(found.stdout))


def test_run_child_that_ignores_term_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "_GRACE", 0.1)
    cancel = Cancel()

    found = sh(
        STUBBORN + "echo ready; while :; do sleep 600; done",
        cancel=cancel,
        on_line=when_printed(cancel.set),
    )

    assert (found.returncode, found.cancelled, found.timed_out) == (-signal.SIGKILL, True, False)


def test_run_child_gets_term_first_and_may_say_goodbye() -> None:
    cancel = Cancel()

    found = sh(
        "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done",
        cancel=cancel,
        on_line=when_printed(cancel.set),
    )

    assert (found.returncode, found.stdout, found.cancelled) == (7, b"ready\nbye\n", True)


@pytest.mark.parametrize(
    ("timeout", "deadline"), [(0.05, None), (LONG, 0.05), (None, 0.05), (0.05, LONG), (0.0, None)]
)
def test_run_over_the_nearest_time_limit_is_timed_out(
    timeout: float | None, deadline: float | None
) -> None:
    limit = None if deadline is None else time.monotonic() + deadline

    found = sh("exec sleep 600", timeout=timeout, cancel=Cancel(deadline=limit))

    assert (found.timed_out, found.cancelled) == (True, False)
    assert found.returncode == -signal.SIGTERM


def test_run_escaped_process_that_holds_the_pipe_is_not_waited_for(tmp_path: Path) -> None:
    # setsid leaves the group: nobody may kill it, and nobody may wait for it.
    mark = tmp_path / "left"
    escape = f"setsid sh -c 'echo $$; touch {mark}; exec sleep 600' &"
    found = sh(f"{escape} until [ -e {mark} ]; do sleep 0.01; done; exit 5")
    os.kill(int(found.stdout), signal.SIGKILL)

    assert found.returncode == 5
    assert is_gone(int(found.stdout))
    for thread in threading.enumerate():
        if thread.name == "pump":
            thread.join(5)


def test_run_with_a_set_token_starts_nothing(tmp_path: Path) -> None:
    cancel = Cancel()
    cancel.set()

    found = sh(f"touch {tmp_path}/started", cancel=cancel)

    assert (found.cancelled, found.returncode) == (True, -signal.SIGTERM)
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(
    ("content", "mode", "error"),
    [
        (None, 0, ToolMissing),
        ("#!/bin/sh\n", 0o600, ToolMissing),
        ("no program", 0o700, ToolMissing),
        ("#!/nowhere/sh\n", 0o700, ToolMissing),
    ],
)
def test_run_what_cannot_be_started_is_a_missing_tool_that_names_it(
    tmp_path: Path, content: str | None, mode: int, error: type[Exception]
) -> None:
    tool = tmp_path / "skopeo"
    if content is not None:
        tool.write_text(content)
        tool.chmod(mode)

    with pytest.raises(error, match=f"^skopeo cannot be started .{tool}.: ."):
        run((str(tool),), environment={}, timeout=LONG)


def test_run_arguments_that_are_too_long_are_a_problem_of_this_machine() -> None:
    with pytest.raises(EnvironmentProblem, match="Argument list too long") as raised:
        run(("/bin/true", "x" * 3_000_000), environment={}, timeout=LONG)

    assert not isinstance(raised.value, ToolMissing)


def test_run_from_twenty_threads_mixes_nothing_up() -> None:
    found: dict[int, CompletedRun] = {}

    def work(number: int) -> None:
        found[number] = sh(
            'echo "$N"; cat; exit "$N"',
            environment={"N": str(number), "PATH": os.environ["PATH"]},
            stdin=b"x" * number,
        )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {number: (one.returncode, one.stdout) for number, one in found.items()} == {
        number: (number, b"%d\n" % number + b"x" * number) for number in range(20)
    }


def test_kill_all_ends_every_group_at_once() -> None:
    found, ready = [], threading.Barrier(4)
    script = STUBBORN + "sleep 600 & echo $!; wait; wait"

    def work() -> None:
        found.append(sh(script, on_line=lambda _: ready.wait(LONG)))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    ready.wait(LONG)
    kill_all()
    for thread in threads:
        thread.join()

    assert [one.returncode for one in found] == [-signal.SIGKILL] * 3
    assert all(is_gone(int(one.stdout)) for one in found)
    assert sh("exit 6").returncode == 6


def test_import_of_what_starts_children_starts_none(tmp_path: Path) -> None:
    """plumbum asks for the processor, for which Python runs the first `uname` on PATH."""
    planted = tmp_path / "uname"
    planted.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    planted.chmod(0o755)

    subprocess.run(
        [sys.executable, "-c", "import image_tools.machine.popen"],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=True,
    )

    assert [path.name for path in tmp_path.iterdir()] == ["uname"]
