"""The lock between two real processes: held, waited for, and free when its holder is killed."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from image_tools.errors import AlreadyRunning
from image_tools.machine.cancel import Cancel
from image_tools.machine.locks import RunLock, lock_path

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = "reg.example:5000"
HOLDER = """
import sys
from pathlib import Path
from image_tools.machine.cancel import Cancel
from image_tools.machine.locks import RunLock

RunLock(Path(sys.argv[1]), "x").acquire(None, cancel=Cancel())
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its input ends or it is killed."""
    pipe = subprocess.PIPE
    argv = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(argv, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return lock_path(tmp_path / "state.db", REGISTRY)


@pytest.mark.parametrize("wait", [None, 0.0, 0.05])
def test_lock_of_another_process_is_refused_with_its_number_and_exit_code_4(
    path: Path, wait: float | None
) -> None:
    with held(path) as process, pytest.raises(AlreadyRunning) as raised:
        RunLock(path, REGISTRY).acquire(wait, cancel=Cancel())

    assert raised.value.exit_code == 4
    assert str(raised.value) == (
        f"another run works on {REGISTRY} with the same state (process {process.pid})"
    )


@pytest.mark.parametrize("wait", [60.0, math.inf])
def test_lock_of_a_killed_process_goes_to_whoever_waits(path: Path, wait: float) -> None:
    with held(path) as process:
        killing = threading.Timer(0.05, process.send_signal, [signal.SIGKILL])
        killing.start()
        lock = RunLock(path, REGISTRY)
        lock.acquire(wait, cancel=Cancel())
        killing.join()

    with pytest.raises(AlreadyRunning):
        RunLock(path, REGISTRY).acquire(None, cancel=Cancel())
    lock.release()


def test_lock_waited_for_without_a_limit_is_given_up_when_cancelled(path: Path) -> None:
    cancel = Cancel()
    cancelling = threading.Timer(0.05, cancel.set)
    cancelling.start()

    with held(path), pytest.raises(AlreadyRunning):
        RunLock(path, REGISTRY).acquire(math.inf, cancel=cancel)
    cancelling.join()
