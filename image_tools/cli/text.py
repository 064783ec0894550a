"""Text for people: its width, how it is cut, how numbers read."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from typing import TextIO

DEFAULT_WIDTH = 80
_ELLIPSIS = "…"


def terminal_width(stream: TextIO, environ: Mapping[str, str]) -> int:
    """Return the columns of the terminal behind `stream`, 80 where they are unknown or 0."""
    stated = environ.get("COLUMNS", "")
    if stated.isdigit() and int(stated) > 0:
        return int(stated)
    try:
        return os.get_terminal_size(stream.fileno()).columns or DEFAULT_WIDTH
    except (OSError, ValueError):
        return DEFAULT_WIDTH


def is_terminal(stream: TextIO) -> bool:
    """Return whether `stream` is a terminal; a closed stream is none."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def coloured(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Return whether `stream` may carry colours: a terminal that is not dumb, without NO_COLOR."""
    return (
        is_terminal(stream)
        and not environ.get("NO_COLOR")
        and environ.get("TERM", "dumb") != "dumb"
    )


def cells(text: str) -> int:
    """Return the columns of `text` on a terminal: East Asian wide characters two, marks none."""
    if text.isascii():
        return len(text)
    return sum(_cell(character) for character in text)


def _cell(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def clipped(text: str, width: int, *, keep_end: bool = True) -> str:
    """Return `text` in at most `width` columns; the middle of a longer one is left out.

    References differ at both ends: registry in front, tag behind. Without `keep_end` the end goes.
    """
    if cells(text) <= width:
        return text
    if width <= 1:
        return _ELLIPSIS[:width]
    back = (width - 1) // 2 if keep_end else 0
    front = width - 1 - back
    return _prefix(text, front) + _ELLIPSIS + _prefix(text[::-1], back)[::-1]


def _prefix(text: str, width: int) -> str:
    taken = 0
    for index, character in enumerate(text):
        taken += _cell(character)
        if taken > width:
            return text[:index]
    return text


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Return `text` with blanks up to `width` columns, before it where `right` is set."""
    blanks = " " * max(0, width - cells(text))
    return blanks + text if right else text + blanks


def human_bytes(count: float) -> str:
    """Return a size for people, in powers of 1000: `12.3 MB`."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} PB"


def human_seconds(seconds: float) -> str:
    """Return a time for people: `0.4s`, `2m05s`, `1h02m`."""
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"


def counted(count: int, word: str) -> str:
    """Return a number with its English word: `1 image`, `2 images`, `1,000 images`."""
    return f"{count:,} {word}" + ("" if count == 1 else "s")
