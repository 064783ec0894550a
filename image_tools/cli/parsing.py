"""From the words of a command line and from variables to the options of a verb.

Long options take one dash or two, as in the Go program this one follows: `--jobs=4`, `-jobs 4`,
`-j4`. A misspelt one is never read as a short option with its value: `-debgu` would be `-d ebgu`,
a push to another registry.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from image_tools.cli.options import Operand, Option, OptionsT, Page
from image_tools.errors import UsageError

_TYPO = 0.7


def parse(page: Page[OptionsT], argv: Sequence[str], environ: Mapping[str, str]) -> OptionsT:
    """Return the options of a command line: from its words, else variables, else defaults.

    UsageError for whatever cannot be read; a bad variable is named.
    """
    try:
        stated, others = separated(argv, page.options)
        _refuse_second_values(stated)
        given = _read(stated)
        operands = _operands(page, others)
    except UsageError as problem:
        raise _with_advice(page, problem.message) from None
    found = {**_from_variables(page, given, environ), **given}
    for option in page.options:
        if option.required and not found.get(option.key):
            raise _with_advice(page, f"{page.name} needs --{option.name} {option.metavar}")
    return page.kind(**found, **operands, given=frozenset(given))


def _with_advice(page: Page[Any], message: str) -> UsageError:
    return UsageError(message, advice=f"see image-tools {page.name} --help")


def _refuse_second_values(stated: Sequence[tuple[Option, str]]) -> None:
    """Raise UsageError where an option that takes one value is given two."""
    first: dict[str, str] = {}
    for option, text in stated:
        if option.is_single and first.setdefault(option.key, text) != text:
            name = f"-{option.short}" if option.short else f"--{option.name}"
            # The values stay out of the message: one may be a password.
            raise UsageError(f"{name} is given twice: it takes one value")


def _read(stated: Sequence[tuple[Option, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option, text in stated:
        try:
            value = option.read(text)
        except ValueError as problem:
            raise UsageError(f"--{option.name}: {problem}") from None
        found[option.key] = found.get(option.key, ()) + value if option.repeats else value
    return found


def _from_variables(
    page: Page[Any], given: Mapping[str, Any], environ: Mapping[str, str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in page.options:
        text = environ.get(option.variable)
        if not text or option.key in given:
            continue
        try:
            found[option.key] = option.read(text)
        except ValueError as problem:
            advice = "correct the variable or unset it"
            raise UsageError(f"{option.variable}: {problem}", advice=advice) from None
    return found


def _operands(page: Page[Any], words: Sequence[str]) -> dict[str, Any]:
    """Return the words of each operand; UsageError for one too many, too few, or unknown."""
    operands = page.operands
    takes_all = bool(operands) and operands[-1].several
    if len(words) > len(operands) and not takes_all:
        raise UsageError(_unexpected(words[len(operands)]))
    if len(words) < sum(not operand.optional for operand in operands):
        raise UsageError(f"{page.name} needs {operands[len(words)].metavar}")
    for operand, word in zip(operands, words, strict=False):
        _refuse_unknown(operand, word)
    found: dict[str, Any] = dict(zip((one.name for one in operands), words, strict=False))
    if takes_all:
        found[operands[-1].name] = tuple(words[len(operands) - 1 :])
    return found


def _refuse_unknown(operand: Operand, word: str) -> None:
    if operand.choices and word not in operand.choices:
        raise UsageError(f"{word!r} is unknown: write {', '.join(operand.choices)}")


def _unexpected(word: str) -> str:
    if word.lower() in ("true", "false"):
        return f"unexpected argument {word!r}: write --option={word.lower()}"
    return f"unexpected argument {word!r}"


def separated(
    argv: Sequence[str], options: Sequence[Option]
) -> tuple[list[tuple[Option, str]], list[str]]:
    """Return each option in `argv` with its text, and the other words; `--` ends the options.

    UsageError for an unknown option, and for one without the value it needs.
    """
    found: list[tuple[Option, str]] = []
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


def _with_text(word: str, words: Iterator[str], options: Sequence[Option]) -> tuple[Option, str]:
    option, text = _recognised(word, options)
    if text is None:
        text = option.bare
    return option, _next_value(word, words) if text is None else text


def _recognised(word: str, options: Sequence[Option]) -> tuple[Option, str | None]:
    name, equals, value = word.lstrip("-").partition("=")
    dashes = len(word) - len(word.lstrip("-"))
    for option in options:
        if name and dashes <= 2 and name in option.spellings:
            return option, value if equals else None
    return _attached(word, options)


def _attached(word: str, options: Sequence[Option]) -> tuple[Option, str]:
    # -j5, -flist.txt: a short option with its value, unless it looks like a misspelt long one.
    name = word.lstrip("-").partition("=")[0]
    names = [name for option in options for name in (option.name, *option.aliases)]
    close = difflib.get_close_matches(name, names, n=1, cutoff=_TYPO)
    if not close and not word.startswith("--"):
        for option in options:
            if option.short and option.needs_value and word[1] == option.short:
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
