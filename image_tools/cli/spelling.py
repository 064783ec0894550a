"""The many ways to write an option, brought to the one that argparse cannot misread.

Long options work with one dash or two, as they did in the Go program this one follows; argparse
alone would take `-debgu` for `-d ebgu`, an upload to a registry nobody meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Protocol

from image_tools.errors import UsageError

_TYPO = 0.7


class Spelled(Protocol):
    """What has to be known of an option to recognise it."""

    @property
    def name(self) -> str: ...
    @property
    def short(self) -> str: ...
    @property
    def aliases(self) -> tuple[str, ...]: ...
    @property
    def bare(self) -> str | None: ...


def canonical(argv: Sequence[str], options: Sequence[Spelled]) -> list[str]:
    """`argv` with every option as `--name=value`; UsageError for unknown ones and stray words."""
    found, others = separated(argv, options)
    if others:
        raise UsageError(stray(others[0]))
    return found


def separated(argv: Sequence[str], options: Sequence[Spelled]) -> tuple[list[str], list[str]]:
    """The options in `argv`, each as `--name=value`, and its other words; `--` ends the options.

    UsageError for an unknown option.
    """
    found: list[str] = []
    others: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            others += words
        elif len(word) < 2 or not word.startswith("-"):
            others.append(word)
        else:
            found.append(_rewritten(word, words, options))
    return found, others


def _rewritten(word: str, words: Iterator[str], options: Sequence[Spelled]) -> str:
    option, value = _recognised(word, options)
    if value is None:
        value = option.bare
    if value is None:
        value = _next_value(word, words)
    return f"--{option.name}={value}"


def stray(word: str) -> str:
    """Why `word` is one too many."""
    if word.lower() in ("true", "false"):
        return f"unexpected argument {word!r}: write --option={word.lower()}"
    return f"unexpected argument {word!r}"


def _recognised(word: str, options: Sequence[Spelled]) -> tuple[Spelled, str | None]:
    name, equals, value = word.lstrip("-").partition("=")
    dashes = len(word) - len(word.lstrip("-"))
    given = value if equals else None
    for option in options:
        if name and dashes <= 2 and name in (option.name, option.short, *option.aliases):
            return option, given
    return _attached(word, options)


def _attached(word: str, options: Sequence[Spelled]) -> tuple[Spelled, str]:
    # -j5, -flist.txt: a short option with its value, unless it looks like a misspelt long one.
    name = word.lstrip("-").partition("=")[0]
    names = [name for option in options for name in (option.name, *option.aliases)]
    close = difflib.get_close_matches(name, names, n=1, cutoff=_TYPO)
    if not close and not word.startswith("--"):
        for option in options:
            if option.short and option.bare is None and word[1] == option.short:
                return option, word[2:]
    close = close or difflib.get_close_matches(name, names, n=1)
    hint = f", did you mean --{close[0]}?" if close else ""
    raise UsageError(f"unknown option {word.partition('=')[0]}{hint}")


def _next_value(word: str, words: Iterator[str]) -> str:
    value = next(words, None)
    if value is None:
        raise UsageError(f"{word} needs a value")
    if value.startswith("-") and len(value) > 1 and not value[1:].isdigit():
        raise UsageError(f"{word} needs a value; one that begins with a dash: {word}={value}")
    return value
