"""The words of a command line that a shell can offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from image_tools.cli.options import Page


def first_words(pages: Sequence[Page[Any]]) -> tuple[str, ...]:
    """The words a command line may begin with, `help` too."""
    return (*dict.fromkeys(page.name.split()[0] for page in pages), "help")


def second_words(pages: Sequence[Page[Any]], first: str) -> tuple[str, ...]:
    """The words that may follow `first` in the names of commands: `list` behind `inspect`."""
    names = (page.name.split() for page in pages)
    return tuple(words[1] for words in names if words[0] == first and len(words) > 1)


def operands_of(page: Page[Any], pages: Sequence[Page[Any]]) -> tuple[str, ...]:
    """The words a shell can offer where `page` takes an operand."""
    choices = tuple(word for operand in page.operands for word in operand.choices)
    return (*second_words(pages, page.name), *choices)
