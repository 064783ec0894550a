"""A module of ours in a process of its own, which says in its first line how to reach it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def child(module: str, *words: object) -> Iterator[tuple[list[str], subprocess.Popen[str]]]:
    """Run `module` while the context lasts; give the words of its first line, and the process."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *map(str, words)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split(), process
    finally:
        process.kill()
        process.communicate()
