"""Log lines: `11:22:33 [INFO] [M_ID:1] [IMG_ID:2] text`, on standard error."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from image_tools.cli import render
from image_tools.cli.redact import clean
from image_tools.cli.shared_options import LogOptions
from image_tools.cli.text import coloured

if TYPE_CHECKING:
    from loguru import Message, Record

_WORDS = {"WARNING": "WARN", "CRITICAL": "FATA"}
_COLOURS = {"DEBUG": "<white>", "INFO": "<cyan>", "WARNING": "<yellow>", "ERROR": "<red>"}
_CONTINUATION = "\n    "


@dataclass(slots=True, eq=False)
class _Output:
    """The file or stream that the open handler writes to, and how it was opened.

    loguru takes 4 ms to open one: it asks for 36 folders, for tracebacks that we do not show.
    """

    write: Callable[[str], object] = render.log
    kind: tuple[str, bool, bool] | None = None


_output = _Output()


def configure(
    write: Callable[[str], object],
    *,
    level: str = "INFO",
    colours: bool = False,
    numbered: bool = False,
) -> None:
    """Send log lines of `level` and worse to `write`.

    `numbered` shows the extras `m_id` and `img_id`, the entry and its platform; they are noise
    with a single job. Tracebacks are shown with level DEBUG only.
    """
    _output.write = write
    kind = (level, colours, numbered)
    if kind != _output.kind:
        _open(level, colours=colours, numbered=numbered)
        _output.kind = kind
    _adopt_standard_logging(shown=level == "DEBUG")


def _open(level: str, *, colours: bool, numbered: bool) -> None:
    """Replace the handlers by one that writes to `_output`."""

    def sink(message: Message) -> None:
        _output.write(str(message))

    logger.configure(
        handlers=[
            {
                "sink": sink,
                "level": level,
                "format": _format(numbered=numbered, traced=level == "DEBUG"),
                "colorize": colours,
                "diagnose": False,
                "backtrace": False,
            }
        ],
        levels=[{"name": name, "color": colour} for name, colour in _COLOURS.items()],
        patcher=_patch,
        extra={},
    )


def start_logs(options: LogOptions, environ: Mapping[str, str]) -> None:
    """Send log lines to standard error, debug ones with `--debug`."""
    configure(
        render.log,
        level="DEBUG" if options.debug else "INFO",
        colours=coloured(sys.stderr, environ),
    )


def last_error(text: str, *, colours: bool) -> None:
    """Log `text` as an error, whether a log was set up before or not."""
    configure(render.log, colours=colours)
    logger.error("{}", text)


def _patch(record: Record) -> None:
    # A line end in outside text must not begin what looks like a line of ours.
    record["message"] = clean(record["message"]).rstrip().replace("\n", _CONTINUATION)


def _format(*, numbered: bool, traced: bool) -> Callable[[Record], str]:
    def template(record: Record) -> str:
        extra = record["extra"]
        name = record["level"].name
        extra["word"] = _WORDS.get(name, name[:4])
        ids = ""
        if numbered:
            names = [key for key in ("m_id", "img_id") if extra.get(key) is not None]
            ids = "".join(f"[{key.upper()}:{{extra[{key}]}}] " for key in names)
        extra["trace"] = _trace(record) if traced else ""
        return (
            f"{{time:HH:mm:ss}} <level>[{{extra[word]}}] {ids}</level>{{message}}{{extra[trace]}}\n"
        )

    return template


def _trace(record: Record) -> str:
    exception = record["exception"]
    if exception is None or exception.type is None:
        return ""
    lines = traceback.format_exception(exception.type, exception.value, exception.traceback)
    return ("\n" + clean("".join(lines)).rstrip()).replace("\n", _CONTINUATION)


class _Forward(logging.Handler):
    """Sends records of libraries' own loggers to our log."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.log("DEBUG", "{}: {}", record.name, record.getMessage())


def _adopt_standard_logging(*, shown: bool) -> None:
    # Without any handler Python prints libraries' warnings raw, past progress and redaction.
    handler = _Forward() if shown else logging.NullHandler()
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
