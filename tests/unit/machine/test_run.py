"""What a start asks of the system and what a run gives back; every child here is a fake."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from pytest_subprocess import FakeProcess

from image_tools.errors import EnvironmentProblem, ImageToolsError, ToolMissing
from image_tools.machine.cancel import Cancel
from image_tools.machine.child import running, signal_group
from image_tools.machine.run import CompletedRun, kill_all, run

ARGV = ("/opt/bin/skopeo", "copy", "docker://a", "docker://b")


def ran(**more: Any) -> CompletedRun:
    return run(ARGV, environment={"HOME": "/x"}, timeout=None, **more)


def test_run_gives_back_what_the_child_left(fp: FakeProcess) -> None:
    fp.register(list(ARGV), stdout=b"out\n", stderr="é\n".encode() + b"\xff\n", returncode=7)

    found = ran()

    assert found == CompletedRun(
        argv=ARGV,
        returncode=7,
        stdout=b"out\n",
        stderr="é\n\ufffd\n",
        seconds=found.seconds,
    )
    assert running == {}


@pytest.mark.parametrize(("stdin", "kind"), [(None, -3), (b"", -1), (b"x", -1)])
def test_run_opens_the_child_in_a_session_of_its_own_with_its_environment_alone(
    fp: FakeProcess, stdin: bytes | None, kind: int
) -> None:
    recorder = fp.register(list(ARGV), stdin_callable=lambda _: None)

    ran(stdin=stdin)

    words = recorder.calls[0].kwargs or {}
    wanted = {"stdin": kind, "stdout": -1, "stderr": -1, "bufsize": 0, "cwd": "."}
    wanted |= {"env": {"HOME": "/x"}, "start_new_session": True}
    assert {name: words.get(name) for name in wanted} == wanted
    assert recorder.calls[0].args == list(ARGV)


def test_run_hands_on_the_lines_of_both_outputs_without_line_ends(fp: FakeProcess) -> None:
    fp.register(list(ARGV), stdout=b"one\r\ntwo", stderr=b"\xff\n")
    lines: list[str] = []

    ran(on_line=lines.append)

    assert sorted(lines) == ["one", "two", "\ufffd"]
    assert lines.index("one") < lines.index("two")


def test_run_with_a_set_token_starts_nothing(fp: FakeProcess) -> None:
    cancel = Cancel()
    cancel.set("SIGINT")

    assert ran(cancel=cancel) == CompletedRun(argv=ARGV, returncode=-signal.SIGTERM, cancelled=True)
    assert not fp.calls


def test_run_takes_its_callback_off_the_token(fp: FakeProcess) -> None:
    fp.register(list(ARGV))
    cancel = Cancel()

    assert ran(cancel=cancel).cancelled is False
    assert cancel._callbacks == {}


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            FileNotFoundError(2, "No such file or directory"),
            ToolMissing,
            "No such file or directory",
        ),
        (PermissionError(13, "Permission denied"), ToolMissing, "Permission denied"),
        (NotADirectoryError(20, "Not a directory"), ToolMissing, "Not a directory"),
        (OSError(8, "Exec format error"), ToolMissing, "Exec format error"),
        (BlockingIOError(11, "try again"), EnvironmentProblem, "try again"),
        (OSError(12, "Cannot allocate memory"), EnvironmentProblem, "Cannot allocate memory"),
        (OSError("odd"), EnvironmentProblem, "odd"),
    ],
)
def test_run_that_cannot_start_says_which_program_and_why(
    monkeypatch: pytest.MonkeyPatch, error: OSError, kind: type[ImageToolsError], words: str
) -> None:
    def fail(*_words: object, **_named: object) -> None:
        raise error

    monkeypatch.setattr("subprocess.Popen._execute_child", fail)
    with pytest.raises(EnvironmentProblem) as raised:
        ran()

    assert type(raised.value) is kind
    assert str(raised.value) == f"skopeo cannot be started (/opt/bin/skopeo): {words}"
    assert running == {}


def test_run_hearer_that_raises_is_raised_here(fp: FakeProcess) -> None:
    fp.register(list(ARGV), stdout=b"one\n")

    with pytest.raises(KeyError, match="one"):
        ran(on_line={}.__getitem__)


def test_signals_reach_no_process_that_is_not_our_child(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr("os.killpg", lambda *words: sent.append(words))

    class Stranger:
        pid = 1
        returncode = None

    monkeypatch.setitem(running, 1, Stranger)
    signal_group(Stranger, signal.SIGKILL)
    kill_all()

    assert sent == []
