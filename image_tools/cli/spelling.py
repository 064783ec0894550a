"""The ways to write an option: `--jobs=4`, `-jobs 4`, `-j4`.

Long options take one dash or two, as in the Go program this one follows. A misspelt one is never
read as a short option with its value: `-debgu` would be `-d ebgu`, a push to another registry.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from image_tools.errors import UsageError

_TYPO = 0.7


class Spelled(Protocol):
    """The part of an option that recognises it."""

    @property
    def name(self) -> str: ...
    @property
    def short(self) -> str: ...
    @property
    def aliases(self) -> tuple[str, ...]: ...
    @property
    def bare(self) -> str | None: ...


OptionT = TypeVar("OptionT", bound=Spelled)


def separated(
    argv: Sequence[str], options: Sequence[OptionT]
) -> tuple[list[tuple[OptionT, str]], list[str]]:
    """Return each option in `argv` with its text, and the other words; `--` ends the options.

    UsageError for an unknown option, and for one without the value it needs.
    """
    found: list[tuple[OptionT, str]] = []
    others: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            others += words
        elif len(word) < 2 or not word.startswith("-"):
            others.append(word)
        else:
            found.append(_with_text(word, words, options))
    return found, others


def _with_text(word: str, words: Iterator[str], options: Sequence[OptionT]) -> tuple[OptionT, str]:
    option, text = _recognised(word, options)
    if text is None:
        text = option.bare
    return option, _next_value(word, words) if text is None else text


def stray(word: str) -> str:
    """Return why `word` is one too many."""
    if word.lower() in ("true", "false"):
        return f"unexpected argument {word!r}: write --option={word.lower()}"
    return f"unexpected argument {word!r}"


def _recognised(word: str, options: Sequence[OptionT]) -> tuple[OptionT, str | None]:
    name, equals, value = word.lstrip("-").partition("=")
    dashes = len(word) - len(word.lstrip("-"))
    given = value if equals else None
    for option in options:
        if name and dashes <= 2 and name in (option.name, option.short, *option.aliases):
            return option, given
    return _attached(word, options)


def _attached(word: str, options: Sequence[OptionT]) -> tuple[OptionT, str]:
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
