"""Run the program in a process of its own, as a shell would, and leave nothing of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.helpers.documents import ROOT

Output = int | IO[Any]


@contextmanager
def started(
    folder: Path,
    *words: str | Path,
    environ: Mapping[str, str] | None = None,
    stdout: Output = subprocess.PIPE,
    stderr: Output = subprocess.PIPE,
) -> Iterator[subprocess.Popen[str]]:
    """Run a command line in `folder`, with `folder/tmp` for temporary files.

    What still runs at the end of the context is killed with all its tools.
    """
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    fixed = {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    process = subprocess.Popen(
        [sys.executable, "-m", "image_tools", *map(str, words)],
        cwd=folder,
        env={**os.environ, **fixed, **(environ or {})},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
