"""One state file under several processes at once."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from image_tools.oci.digest import Digest
from image_tools.state import Remembered, State

ROOT = Path(__file__).resolve().parents[2]
COUNT = 100
# Each waits for a line, so that all begin at once; nobody may lose a row, own or foreign.
HAMMER = f"""
import sys
from pathlib import Path
from image_tools.oci.digest import Digest
from image_tools.state import Remembered, State
name, path = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
state = State.open(Path(path))
for number in range({COUNT}):
    image = (f"source/{{name}}:{{number}}", "destination", "all")
    wanted = Remembered(Digest.of(name.encode()), Digest.of(b"%d" % number))
    state.remember(*image, wanted)
    state.remember("source/shared", "destination", "all", wanted)
    assert state.recall(*image) == wanted, number
    assert state.recall("source/shared", "destination", "all") is not None
state.close()
"""


def _hammered(path: Path, count: int) -> list[tuple[int, str]]:
    """How `count` processes ended that were let loose on `path` together."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HAMMER, f"{number}", str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=60)[1] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, ended, strict=True)]


def _rows(path: Path, count: int) -> list[Remembered | None]:
    with closing(State.open(path)) as state:
        return [
            state.recall(f"source/{number}:{turn}", "destination", "all")
            for number in range(count)
            for turn in range(COUNT)
        ]


def _expected(count: int) -> list[Remembered]:
    return [
        Remembered(Digest.of(b"%d" % number), Digest.of(b"%d" % turn))
        for number in range(count)
        for turn in range(COUNT)
    ]


def test_state_hammered_by_two_processes_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"

    assert _hammered(path, 2) == [(0, "")] * 2
    assert _rows(path, 2) == _expected(2)


@pytest.mark.parametrize("count", [4])
def test_state_damaged_is_moved_aside_by_one_of_many_processes(tmp_path: Path, count: int) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"x" * 5000)

    ended = _hammered(path, count)

    assert [code for code, _ in ended] == [0] * count
    assert sorted(text.count("moved to") for _, text in ended) == [0] * (count - 1) + [1]
    assert [one.name for one in tmp_path.glob("*.damaged-*")] == ["state.db.damaged-1"]
    assert _rows(path, count) == _expected(count)
