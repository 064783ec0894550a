"""What a shell may offer for the words of a command line, whichever shell it is."""

from __future__ import annotations

from collections.abc import Sequence

from image_tools.cli.options import Option, Page

FILE = "FILE"
BOOLEANS = ("true", "false")


def takes_file(option: Option) -> bool:
    """Whether the value of `option` is the name of a file."""
    return option.metavar == FILE


def needs_value(option: Option) -> bool:
    """Whether a value has to follow `option`."""
    return option.bare is None


def values_of(option: Option) -> tuple[str, ...]:
    """The values a shell can offer for `option`; a switch has two, but only behind `=`."""
    if option.choices:
        return option.choices
    return BOOLEANS if option.bare == "true" else ()


def spellings(option: Option) -> tuple[str, ...]:
    """The names of `option` without dashes: short one, long one, aliases."""
    return tuple(filter(None, (option.short, option.name, *option.aliases)))


def first_words(pages: Sequence[Page]) -> tuple[str, ...]:
    """The words a command line may begin with, `help` too."""
    return (*dict.fromkeys(page.name.split()[0] for page in pages), "help")


def second_words(pages: Sequence[Page], first: str) -> tuple[str, ...]:
    """The words that may follow `first` in the names of commands: `list` behind `inspect`."""
    names = (page.name.split() for page in pages)
    return tuple(words[1] for words in names if words[0] == first and len(words) > 1)


def operands_of(page: Page, pages: Sequence[Page]) -> tuple[str, ...]:
    """The words a shell can offer where `page` takes an operand."""
    choices = tuple(word for operand in page.operands for word in operand.choices)
    return (*second_words(pages, page.name), *choices)
