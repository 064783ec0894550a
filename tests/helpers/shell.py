"""What a shell block of a document starts: each command line as a real shell understands it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SECONDS = 30.0
# Stands in the place of a program and writes down how it was called.
STUB = """#!/bin/sh
call="$CALLS/$(ls "$CALLS" | wc -l)"
mkdir "$call"
printf '%s\\0' "$@" >"$call/words"
env -0 >"$call/environ"
cat >"$call/input"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call: the words behind the program's name, its environment and its standard input."""

    words: tuple[str, ...]
    environ: Mapping[str, str]
    stdin: bytes


def calls_of(block: str, folder: Path) -> list[Call]:
    """Run a block of shell in ``folder``; give its calls of image-tools, which are not made.

    AssertionError when the shell does not like it.
    """
    calls = folder / ".calls"
    calls.mkdir(exist_ok=True)
    before = len([*calls.iterdir()])
    for place in ("bin/image-tools", "image-tools"):
        program = folder / place
        program.parent.mkdir(exist_ok=True)
        program.write_text(STUB)
        program.chmod(0o755)
    environ = {"CALLS": str(calls), "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-eu", "-c", block],
        cwd=folder,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{block}{done.stderr}"
    made = sorted(calls.iterdir(), key=lambda path: int(path.name))[before:]
    return [_read(path) for path in made]


def _read(call: Path) -> Call:
    words, environ = (
        (call / name).read_bytes().decode().split("\0")[:-1] for name in ("words", "environ")
    )
    variables = dict(text.split("=", 1) for text in environ)
    return Call(words=tuple(words), environ=variables, stdin=(call / "input").read_bytes())
