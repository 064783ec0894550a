"""Run a tool that asks the user questions at the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
from collections.abc import Iterator, Mapping

import sh

from image_tools.errors import EnvironmentProblem, ToolMissing


def run_in_terminal(argv: tuple[str, ...], environment: Mapping[str, str]) -> int:
    """Run a tool with the terminal, its output on standard error, and return its exit code.

    `argv[0]` is an absolute path; the tool sees `environment` and nothing else. The terminal is
    restored afterwards, also when the tool was killed while it hid the input. Raise ToolMissing
    when it cannot be started.
    """
    try:
        tool = sh.Command(argv[0])
    except sh.CommandNotFound as error:
        raise ToolMissing(f"{argv[0]} cannot be started") from error
    with _output_on_standard_error(), _terminal_restored():
        try:
            tool(*argv[1:], _fg=True, _env=dict(environment))
        except sh.ErrorReturnCode as ended:
            return int(ended.exit_code)
        except OSError as error:
            raise EnvironmentProblem(f"{argv[0]}: {error.strerror}") from error
    return 0


@contextlib.contextmanager
def _output_on_standard_error() -> Iterator[None]:
    # Standard output may be a file for results, and must hold no prompts.
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@contextlib.contextmanager
def _terminal_restored() -> Iterator[None]:
    try:
        before = termios.tcgetattr(0)
    except termios.error:
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(0, termios.TCSADRAIN, before)
