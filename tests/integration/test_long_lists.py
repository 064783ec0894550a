"""Ten thousand lines against registries that answer from memory: what is said, kept and ended."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from benchmarks.memory_registry import Pair, memory_registries, repository
from tests.helpers.started import started

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
LINES, EVERY = 10_000, 4
ENDED_WITHIN = 5.0


@contextmanager
def _mirroring(folder: Path, pair: Pair) -> Iterator[subprocess.Popen[str]]:
    listed = folder / "list.txt"
    if not listed.exists():
        listed.write_text("".join(f"{pair.source}/{repository(n)}:1.0\n" for n in range(LINES)))
    fixed = ("-f", listed, "-d", pair.destination, "--state", folder / "state.db", "-j", "4")
    wide = ("--arch", "all", "--os", "all", "--tls-verify=false")
    files = ("-o", folder / "failed.txt", "--report", folder / "report.json", "-q")
    with (
        (folder / "err").open("w") as err,
        started(
            folder, "mirror", *fixed, *wide, *files, stdout=subprocess.DEVNULL, stderr=err
        ) as process,
    ):
        yield process


def _highest(pid: int) -> int:
    """Give the most memory a living process had, in MiB; 0 of one that has ended."""
    words = Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()
    return int(words[0]) // 1024 if words else 0


def test_ten_thousand_lines_unchanged_stay_small(tmp_path: Path) -> None:
    with memory_registries(LINES) as pair, _mirroring(tmp_path, pair) as process:
        highest = 0
        while process.poll() is None:
            highest = max(highest, _highest(process.pid))
            time.sleep(0.05)
        assert process.returncode == 0, (tmp_path / "err").read_text()[-2000:]
    assert (tmp_path / "err").read_text() == ""
    assert highest < 150
    assert not (tmp_path / "failed.txt").exists()


def test_ten_thousand_lines_broken_off_end_soon_and_lose_nothing(tmp_path: Path) -> None:
    with memory_registries(LINES, EVERY) as pair:
        with _mirroring(tmp_path, pair) as process:
            state = tmp_path / "state.db"
            while not _remembered(state):
                assert process.poll() is None, (tmp_path / "err").read_text()[-2000:]
                time.sleep(0.05)
            begun = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130
            assert time.monotonic() - begun < ENDED_WITHIN
        listed = (tmp_path / "list.txt").read_text().splitlines()
        failed = (tmp_path / "failed.txt").read_text().splitlines()
        left = [line for line in failed if not line.startswith("#")]
        # In list order, and each line once: what is done is left out, and nothing else.
        kept = Counter(left)
        assert max(kept.values()) == 1
        assert [line for line in listed if line in kept] == left
        assert _remembered(state) + len(left) >= LINES - LINES // EVERY
        assert state.stat().st_size < 8 << 20


def _remembered(state: Path) -> int:
    """Give how many images the state file knows."""
    if not state.exists():
        return 0
    with closing(sqlite3.connect(state)) as base:
        return int(base.execute("select count(*) from finished").fetchone()[0])
