"""The person at the terminal: lines typed one by one, logins, and questions of yes or no."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from image_tools.cli import render
from image_tools.cli.listing import say_problem
from image_tools.cli.progress import Display
from image_tools.cli.redact import add_secret, clean
from image_tools.cli.results import Results
from image_tools.cli.text import is_terminal
from image_tools.errors import EnvironmentProblem, Interrupted
from image_tools.imagelist.entry import Entry, ImageList, Problem
from image_tools.imagelist.origin import STANDARD_INPUT
from image_tools.imagelist.reader import read_line
from image_tools.imagelist.registries import Registries
from image_tools.logins.auth_file import Credentials
from image_tools.logins.auth_store import keep_login
from image_tools.report import Report
from image_tools.run.preflight import Ask, Prompt

PROMPT = ">>> "
_HELLO = "Type SOURCE DESTINATION TAG, or one REFERENCE. Ctrl-D ends."
_HISTORY_LENGTH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedSession:
    """The parts that copy a typed line and show its result."""

    mirror: Callable[[ImageList], Report]
    registries: Registries
    results: Results
    history: Path
    skip_invalid: bool = False


def converse(session: TypedSession, reports: list[Report]) -> None:
    """Copy each line when it is there; add a report for each to `reports`.

    It ends with the input, Ctrl-C, or a run that is interrupted. ImageToolsError for what makes
    further lines useless.
    """
    lines = _typed(session.history) if _at_a_terminal() else _piped()
    # Ctrl-C while nothing is copied is a way to say goodbye.
    with contextlib.suppress(KeyboardInterrupt), contextlib.closing(lines):
        try:
            for number, text in enumerate(lines, start=1):
                reports.append(_mirrored(text, number, session))
                if reports[-1].interrupted_by is not None:
                    return
        except Interrupted as end:
            reports.append(Report(command="mirror", outcomes=(), interrupted_by=end.signal_number))


def _mirrored(text: str, number: int, session: TypedSession) -> Report:
    found = read_line(text, number, session.registries)
    if isinstance(found, Problem):
        say_problem(found, STANDARD_INPUT, skipped=session.skip_invalid)
        found = None if session.skip_invalid else found
    if found is None:
        return Report(command="mirror", outcomes=())
    report = session.mirror(_list_of(found))
    for outcome in report.outcomes:
        session.results.show_line(outcome)
    return report


def _list_of(found: Entry | Problem) -> ImageList:
    if isinstance(found, Problem):
        return ImageList(name=STANDARD_INPUT, problems=(found,), typed=True)
    return ImageList(name=STANDARD_INPUT, entries=(found,), typed=True)


def _at_a_terminal() -> bool:
    return is_terminal(sys.stdin) and is_terminal(sys.stderr)


def _piped() -> Generator[str, None, None]:
    while line := sys.stdin.buffer.readline():
        yield line.decode(errors="replace")


def _typed(history: Path) -> Generator[str, None, None]:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    render.err(_HELLO)
    with _remembered(history):
        while (line := _asked()) is not None:
            yield line


def _asked() -> str | None:
    try:
        with _prompt_on_standard_error():
            return input(PROMPT)
    except EOFError:
        render.err("")
        return None
    except KeyboardInterrupt:
        render.err("")
        raise


@contextlib.contextmanager
def _prompt_on_standard_error() -> Iterator[None]:
    # readline writes to standard output and edits lines only where that is a terminal; the
    # results may go into a file.
    sys.stdout.flush()
    output = sys.stdout.fileno()
    kept = os.dup(output)
    os.dup2(sys.stderr.fileno(), output)
    try:
        yield
    finally:
        os.dup2(kept, output)
        os.close(kept)


@contextlib.contextmanager
def _remembered(path: Path) -> Iterator[None]:
    """Inside, lines can be edited and earlier ones recalled, where Python has readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        readline.set_history_length(_HISTORY_LENGTH)
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            readline.write_history_file(path)
            path.chmod(0o600)


_YES = frozenset({"y", "yes"})


def agreed(question: str) -> bool:
    """Return whether the person at the terminal says yes to `question`; anything else is no."""
    render.prompt(clean(f"{question} [y/N] "))
    return sys.stdin.readline().strip().lower() in _YES


def asking(environ: Mapping[str, str], display: Display) -> Ask | None:
    """Return what asks for a login and keeps it as `login` does; None without a terminal."""
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        return None

    def ask(prompt: Prompt) -> Credentials | None:
        with display.paused():
            if prompt.reason:
                render.err(clean(prompt.reason))
            render.err(f"Log in to {prompt.registry}:")
            try:
                return _typed_login(prompt, environ)
            except EnvironmentProblem as problem:
                logger.warning("{}; {}", problem, problem.advice)
                return None

    return ask


def _typed_login(prompt: Prompt, environ: Mapping[str, str]) -> Credentials | None:
    # sh costs 60 ms, and hardly a run asks.
    from image_tools.run.login_prompt import ask_login

    found = ask_login(prompt, environ)
    if found is None:
        return None
    add_secret(found.password, found.username)
    for place in keep_login(prompt.registry, found, environ):
        logger.info("the login for {} is kept in {}", prompt.registry, place)
    return found
