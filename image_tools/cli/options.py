"""Options as values, and the reading of a command line and of variables with them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from image_tools.cli.spelling import separated, stray
from image_tools.errors import UsageError

VARIABLE_PREFIX = "IMAGE_TOOLS_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: its spellings, how its text is read, and its line in the help.

    `bare` is what the option means without a value, None where it needs one; `default` is read
    like a value from the command line; `repeats` adds up what several uses give, `once` refuses
    a second value, of others the last one counts (see `is_single`); `shown` replaces the default in
    the help; `choices` are the words a shell may offer as values; `required` is an option without
    which the command has nothing to do. `stands_for` names the variable where the option's own name
    means something else in another command.
    """

    name: str
    help: str
    read: Callable[[str], Any] = str
    metavar: str = ""
    short: str = ""
    aliases: tuple[str, ...] = ()
    bare: str | None = None
    default: str | None = None
    repeats: bool = False
    once: bool = False
    shown: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    stands_for: str = ""

    @property
    def key(self) -> str:
        """The attribute that holds the value."""
        return self.name.replace("-", "_")

    @property
    def is_single(self) -> bool:
        """Whether a second, different value is an error.

        It is where the first place, file or name would silently get nothing.
        """
        return self.once or (self.read is str and not self.repeats)

    @property
    def variable(self) -> str:
        """The environment variable that stands for this option."""
        return VARIABLE_PREFIX + (self.stands_for or self.key).upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """A word a command needs beside its options: `metavar` in the help, `name` as attribute.

    With `choices` no other word is taken. The last one may be `several`: it takes all words that
    are left, at least one, and the attribute is a tuple. It may be `optional`: None without it.
    """

    name: str
    metavar: str
    help: str
    choices: tuple[str, ...] = ()
    several: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Options that belong together, under one title."""

    title: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """A titled text below the options; its lines are shown as they are."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All the command line knows of one command; its names may be two words, `inspect list`."""

    name: str
    summary: str
    about: str
    groups: tuple[Group, ...]
    notes: tuple[Note, ...] = ()
    operands: tuple[Operand, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[Option, ...]:
        """The options of all groups."""
        return tuple(option for group in self.groups for option in group.options)


def parse(page: Page, argv: Sequence[str], environ: Mapping[str, str]) -> argparse.Namespace:
    """Return the values of all options of `page`: command line, else variable, else default.

    Its operands are attributes, too. `Namespace.given` holds the keys of the options that stood on
    the command line. UsageError for whatever cannot be read; a bad variable is named.
    """
    try:
        stated, others = separated(argv, page.options)
        _refuse_lost(stated)
        given = _read(stated)
        operands = _operands(page, others)
    except UsageError as problem:
        raise _pointed(page, problem.message) from None
    values = {
        option.key: given[option.key] if option.key in given else _fallback(option, environ)
        for option in page.options
    }
    for option in page.options:
        if option.required and not values[option.key]:
            raise _pointed(page, f"{page.name} needs --{option.name} {option.metavar}")
    return argparse.Namespace(**values, **operands, given=frozenset(given))


def _refuse_lost(stated: Sequence[tuple[Option, str]]) -> None:
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


def _pointed(page: Page, message: str) -> UsageError:
    return UsageError(message, advice=f"see image-tools {page.name} --help")


def _operands(page: Page, words: Sequence[str]) -> dict[str, Any]:
    last = page.operands[-1] if page.operands else None
    takes_all = last is not None and last.several
    if len(words) > len(page.operands) and not takes_all:
        raise UsageError(stray(words[len(page.operands)]))
    if len(words) < sum(not operand.optional for operand in page.operands):
        raise UsageError(f"{page.name} needs {page.operands[len(words)].metavar}")
    for operand, word in zip(page.operands, words, strict=False):
        if operand.choices and word not in operand.choices:
            raise UsageError(f"{word!r} is unknown: write {', '.join(operand.choices)}")
    found: dict[str, Any] = {o.name: None for o in page.operands}
    found |= dict(zip((o.name for o in page.operands), words, strict=False))
    if last is not None and takes_all:
        found[last.name] = tuple(words[len(page.operands) - 1 :])
    return found


def _fallback(option: Option, environ: Mapping[str, str]) -> Any:
    text = environ.get(option.variable)
    if not text:
        return None if option.default is None else option.read(option.default)
    try:
        return option.read(text)
    except ValueError as problem:
        advice = "correct the variable or unset it"
        raise UsageError(f"{option.variable}: {problem}", advice=advice) from None
