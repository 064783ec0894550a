"""The command line as a whole: the verb it means, and the one boundary of errors."""

from __future__ import annotations

import errno
import os
import platform
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from image_tools import __version__
from image_tools.cli import render, values
from image_tools.cli.catalogue import PAGES, page_of
from image_tools.cli.help import command_help, overview
from image_tools.cli.parsing import parse
from image_tools.cli.redact import clean
from image_tools.cli.text import coloured, terminal_width
from image_tools.errors import (
    BUG_EXIT_CODE,
    NO_SPACE,
    EnvironmentProblem,
    ImageToolsError,
    Interrupted,
    UsageError,
)

_MACHINE_SAYS_NO = NO_SPACE | {errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.EIO}

_HELP_WORDS = frozenset({"-h", "-help", "--help"})
_VERSION_WORDS = frozenset({"-V", "-version", "--version"})


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run one command line, that of this process by default; return its exit code.

    Every failure is written to standard error; nothing is raised.
    """
    words = tuple(sys.argv[1:] if argv is None else argv)
    environ = _at_home(os.environ if environ is None else environ)
    debug = _wants_debug(words, environ)
    try:
        return _dispatch(words, environ)
    except ImageToolsError as error:
        return _explained(error, environ, debug=debug)
    except KeyboardInterrupt:
        return _explained(Interrupted(signal.SIGINT), environ, debug=debug)
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):
            render.abandon(stream)
        return 1
    except OSError as error:
        if error.errno not in _MACHINE_SAYS_NO:
            return _bug(error, debug=debug)
        return _explained(_refused(error), environ, debug=debug)
    except Exception as error:
        return _bug(error, debug=debug)


def _at_home(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return `environ` with a HOME; for a user the machine does not know (containers) it is `/`."""
    if environ.get("HOME"):
        return environ
    try:
        return {**environ, "HOME": str(Path.home())}
    except RuntimeError:
        return {**environ, "HOME": "/"}


def _refused(error: OSError) -> EnvironmentProblem:
    place = f"{error.filename}: " if error.filename else ""
    problem = EnvironmentProblem(f"{place}{error.strerror}")
    problem.__cause__ = error
    return problem


def _dispatch(words: tuple[str, ...], environ: Mapping[str, str]) -> int:
    if not words:
        render.err(overview(PAGES, terminal_width(sys.stderr, environ)).rstrip())
        return UsageError.exit_code
    first = words[0]
    if first in _VERSION_WORDS:
        render.out(f"image-tools {__version__}")
        return 0
    if first in _HELP_WORDS or first == "help":
        return _help(words[1:], environ)
    page, rest = page_of(words)
    if _HELP_WORDS & set(rest):
        return _help(page.name.split(), environ)
    return page.run(parse(page, rest, environ), environ)


def _help(words: Sequence[str], environ: Mapping[str, str]) -> int:
    width = terminal_width(sys.stdout, environ)
    if words:
        page, rest = page_of(words)
        if rest:
            raise UsageError(f"unexpected argument {rest[0]!r}", advice="help takes one command")
        text = command_help(page, width)
    else:
        text = overview(PAGES, width)
    render.out(text.rstrip())
    return 0


def _wants_debug(words: Sequence[str], environ: Mapping[str, str]) -> bool:
    # Looked up by hand: the reading of the command line may be what goes wrong.
    split = [word.lstrip("-").partition("=") for word in words if word.startswith("-")]
    said = [value or "true" for name, _, value in split if name == "debug"]
    try:
        return values.boolean([environ.get("IMAGE_TOOLS_DEBUG") or "false", *said][-1])
    except ValueError:
        return False


def _explained(error: ImageToolsError, environ: Mapping[str, str], *, debug: bool) -> int:
    from image_tools.cli.logs import last_error

    advice = f"\nadvice: {error.advice}" if error.advice else ""
    last_error(f"{error.message}{advice}", colours=coloured(sys.stderr, environ))
    if debug and not isinstance(error, UsageError):
        _show_trace(error)
    return error.signal_exit_code if isinstance(error, Interrupted) else error.exit_code


def _bug(error: Exception, *, debug: bool) -> int:
    versions = f"image-tools {__version__}, Python {platform.python_version()}, {sys.platform}"
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    more = "" if debug else " With --debug you see where it happened."
    render.err(
        clean(
            f"This is a bug in image-tools: {what}\nPlease report it, with your command line and "
            f"these versions: {versions}.{more}"
        )
    )
    if debug:
        _show_trace(error)
    return BUG_EXIT_CODE


def _show_trace(error: BaseException) -> None:
    render.err(clean("".join(traceback.format_exception(error))).rstrip())
