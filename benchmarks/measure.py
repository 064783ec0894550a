"""Run a program to its end and tell what it took: time, CPU and memory of it and its children."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")
# Memory is looked at often at first: some programs are over before the second look.
_FIRST_SAMPLES, _SOON, _LATER = 40, 0.004, 0.1
_GRACE_SECONDS = 5.0


class Failed(Exception):
    """A program did not do what it should; the text says why, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command line, what it reads on standard input, and where it runs."""

    argv: Sequence[str | Path]
    given: str = ""
    folder: Path
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a run took: seconds, CPU seconds of the tree and of the program alone, peak bytes."""

    seconds: float
    cpu: float
    own_cpu: float
    memory: int


def run(command: Command, patience: float) -> Cost:
    """Run a command; Failed when its exit status is not 0 or it takes more than `patience` s.

    Whatever happens, no process of it is left. Linux only: it reads /proc.
    """
    given, said = command.folder / "stdin", command.folder / "stderr"
    given.write_text(command.given)
    with given.open("rb") as stdin, said.open("wb") as stderr:
        begun = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command.argv],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=command.folder,
            env=dict(command.environment),
            start_new_session=True,
        )
    try:
        peak = _peak_until_end(process.pid, begun + patience)
        seconds = time.monotonic() - begun
        own = _own_cpu(process.pid)
    except BaseException:
        _end_tree(process)
        raise
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(f"exit {process.returncode}: {_last_line(said)}")
    return Cost(
        seconds=seconds,
        cpu=used.ru_utime + used.ru_stime,
        own_cpu=own,
        memory=peak,
    )


def tree(pid: int) -> Iterator[int]:
    """Give a process and all below it."""
    yield pid
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from tree(int(child))


def _peak_until_end(pid: int, deadline: float) -> int:
    """Give the most memory the tree had at once (RSS, shared pages counted for each)."""
    ending, peak, sample = os.pidfd_open(pid), 0, 0
    try:
        poll = select.poll()
        poll.register(ending, select.POLLIN)
        while not poll.poll(1000 * (_SOON if sample < _FIRST_SAMPLES else _LATER)):
            peak, sample = max(peak, sum(map(_resident, tree(pid))), _highest(pid)), sample + 1
            if time.monotonic() > deadline:
                raise Failed("not ready in the time that was given")
    finally:
        os.close(ending)
    return peak


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def _highest(pid: int) -> int:
    """Give the most a process ever had. Its rusage would tell what we had when it was forked."""
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        if found := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE):
            return int(found[1]) * 1024
    return 0


def _own_cpu(pid: int) -> float:
    """Give the CPU seconds of a process that has ended and was not waited for, children apart."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _end_tree(process: subprocess.Popen[bytes]) -> None:
    """End a program; what it does not end itself within five seconds is killed."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)
    left = list(tree(process.pid)) if process.returncode is None else []
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # xargs leaves its children, in its own group
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1].strip()[:160] if lines else "it said nothing"
