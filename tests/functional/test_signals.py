"""Signals as they reach a whole process: a Python program of its own, told what to do."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.children import is_gone

ROOT = Path(__file__).resolve().parents[2]
# A signal handler may run while the program is inside a print of its own, and Python refuses to
# enter a buffered stream twice ("reentrant call"). So the handlers write to the file itself.
LISTENER = """
import os, signal, sys
from image_tools.machine.signals import listening

def say(word):
    return lambda number: os.write(1, b"%s %d\\n" % (word, number))

with listening(say(b"first"), say(b"second")):
    print("ready", flush=True)
    for line in sys.stdin:
        if line == "leave\\n":
            break
names = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
print([getattr(name, "name", name.__class__.__name__) for name in names], flush=True)
"""
DYING = """
import os, signal, sys, threading, time
from pathlib import Path
from image_tools.machine.run import run
from image_tools.machine.signals import die_now, listening

folder = Path(sys.argv[1])
(folder / "deep").mkdir(parents=True)
(folder / "deep/auth.json").write_text("secret")
script = "trap '' TERM INT; echo $$; sleep 600 & echo $!; wait; wait"

def work():
    # As jobs do: when one child has ended, the next one starts.
    while True:
        run(("/bin/sh", "-c", script), environment={"PATH": os.environ["PATH"]},
            timeout=None, on_line=lambda line: sys.stdout.write(line + "\\n"))

sys.stdout.reconfigure(line_buffering=True)
with listening(lambda _: os.write(1, b"first\\n"), die_now(folder)):
    for _ in range(3):
        threading.Thread(target=work, daemon=True).start()
    while True:
        time.sleep(0.01)
"""


@contextmanager
def program(
    script: str, *words: str, ignoring: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A Python program with pipes; it is gone afterwards, whatever happened."""
    argv = [sys.executable, "-c", script, *words]
    if ignoring is not None:
        argv = ["/bin/sh", "-c", f'trap "" {ignoring}; exec "$@"', "sh", *argv]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def leave(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None
    process.stdin.write("leave\n")
    process.stdin.flush()
    return line(process)


@pytest.mark.parametrize(
    ("sent", "heard"),
    [
        ([signal.SIGINT, signal.SIGINT, signal.SIGTERM], ["first 2", "second 2", "second 15"]),
        ([signal.SIGTERM, signal.SIGINT], ["first 15", "second 2"]),
        ([signal.SIGHUP, signal.SIGHUP], ["first 15", "second 15"]),
    ],
)
def test_first_signal_and_later_ones_are_heard_and_handlers_restored(
    sent: list[int], heard: list[str]
) -> None:
    with program(LISTENER) as process:
        assert line(process) == "ready"
        found = []
        for number in sent:
            process.send_signal(number)
            found.append(line(process))

        assert found == heard
        assert leave(process) == "['builtin_function_or_method', 'SIG_DFL', 'SIG_DFL']"
        assert process.wait(30) == 0


@pytest.mark.parametrize("ignored", [signal.SIGHUP, signal.SIGINT])
def test_signal_ignored_from_the_start_stays_ignored(ignored: int) -> None:
    with program(LISTENER, ignoring=ignored) as process:
        assert line(process) == "ready"
        process.send_signal(ignored)
        process.send_signal(signal.SIGTERM)

        assert line(process) == "first 15"
        assert "SIG_IGN" in leave(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_ends_at_once_without_child_or_folder(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "private"
    with program(DYING, str(folder)) as process:
        children = [int(line(process)) for _ in range(6)]
        process.send_signal(number)
        assert line(process) == "first"
        process.send_signal(number)
        rest, _ = process.communicate(timeout=30)

    assert (process.returncode, rest) == (128 + number, "")
    assert not folder.exists()
    assert [pid for pid in children if not is_gone(pid)] == []
