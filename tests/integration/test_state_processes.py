"""A process that is killed amid its writing has lost nothing it had finished."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from image_tools.oci.digest import Digest
from image_tools.state import Remembered, State

ROOT = Path(__file__).resolve().parent.parent.parent
WRITER = """
import sys
from pathlib import Path
from image_tools.oci.digest import Digest
from image_tools.state import Remembered, State

path, name, rows = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
state = State.open(path)
for number in range(rows):
    digest = Digest.of(f"{name}{number}".encode())
    state.remember(f"{name}{number}", "d", "s", Remembered(digest, digest))
    print(number, flush=True)
"""


def started(path: Path, name: str, rows: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", WRITER, str(path), name, str(rows)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kept(path: Path, name: str, rows: int) -> list[bool]:
    state = State.open(path)
    wanted = (Digest.of(f"{name}{number}".encode()) for number in range(rows))
    found = [
        state.recall(f"{name}{number}", "d", "s") == Remembered(digest, digest)
        for number, digest in enumerate(wanted)
    ]
    state.close()
    return found


def test_process_killed_amid_its_writing_has_kept_what_it_said(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with started(path, "a", 100_000) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        written = [process.stdout.readline() for _ in range(51)]
        process.send_signal(signal.SIGKILL)

    assert written[-1] == "50\n"
    assert all(kept(path, "a", 51))
