"""Standard output and standard error: the only place that prints."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from image_tools.cli.redact import plain
from image_tools.cli.text import is_terminal
from image_tools.errors import EnvironmentProblem, UsageError
from image_tools.machine import files
from image_tools.machine.trusted_paths import refuse_planted

# Terminals take these for commands, and JSON need not escape them; lone surrogates are no UTF-8.
_UNSHOWN = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def out(text: str) -> None:
    """Write `text` and a line end to standard output; a reader that left is no failure.

    Whatever stands in it, no terminal is commanded by it. Raise EnvironmentProblem when it cannot
    be written, as on a full disk.
    """
    try:
        _write(plain(text), sys.stdout)
    except OSError as error:
        raise _unwritable(error) from error


def _unwritable(error: OSError) -> EnvironmentProblem:
    abandon(sys.stdout)
    return EnvironmentProblem(
        f"standard output cannot be written: {error.strerror or error}",
        advice="the work itself is done: run again for its result",
    )


def err(text: str) -> None:
    """Write `text` and a line end to standard error; a failure is ignored."""
    _write_or_forget(plain(text))


def log(line: str) -> None:
    """Write a log line, which is tamed already and may have colours, to standard error."""
    _write_or_forget(line.rstrip("\n"))


def prompt(text: str) -> None:
    """Write `text` to standard error, without a line end."""
    _write_or_forget(plain(text), end="")


def out_bytes(content: bytes) -> None:
    """Write `content` to standard output as it is, on a screen without commands; else as `out`."""
    if is_terminal(sys.stdout):
        out(content.decode(errors="replace").removesuffix("\n"))
        return
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        abandon(sys.stdout)
    except OSError as error:
        raise _unwritable(error) from error


def out_json(document: Mapping[str, Any]) -> None:
    """Write one JSON document to standard output."""
    out(json_text(document))


def json_text(document: Mapping[str, Any]) -> str:
    """Return a document as indented JSON; characters that could control a terminal are escaped."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return _UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _write_or_forget(text: str, end: str = "\n") -> None:
    try:
        _write(text, sys.stderr, end)
    except OSError:
        abandon(sys.stderr)


def _write(text: str, stream: TextIO, end: str = "\n") -> None:
    try:
        print(text, file=stream, end=end, flush=True)
    except BrokenPipeError:
        abandon(stream)


def abandon(stream: TextIO) -> None:
    """Let whatever is still written to `stream` vanish: its reader has left (`| head`)."""
    # Without this the interpreter complains once more when it flushes at its end.
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def check_result_file(option: str, path: Path) -> None:
    """Raise UsageError now where `path` of `option` could not be written after hours of work."""
    try:
        refuse_planted(path)
    except PermissionError as error:
        raise UsageError(f"{option}: {error.filename}: {error.strerror}") from error
    if path.is_dir():
        raise UsageError(f"{option}: {path} is a folder")
    if not path.parent.is_dir():
        raise UsageError(f"{option}: the folder {path.parent} does not exist")
    if files.is_device(path):
        if not os.access(path, os.W_OK):
            raise UsageError(f"{option}: {path} is not writable")
    elif not os.access(path.resolve().parent, os.W_OK):
        raise UsageError(f"{option}: the folder {path.resolve().parent} is not writable")


def write_report(path: Path, document: Mapping[str, Any]) -> None:
    """Replace `path` by `document` as JSON, whole or not at all, readable by all (0644).

    A device or a pipe is written to. OSError when that fails.
    """
    write_file(path, f"{json_text(document)}\n".encode())


def write_file(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, as `write_report` does."""
    files.write_file(path, content)
