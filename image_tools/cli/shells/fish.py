"""The completion script for fish, from 3.0 on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from image_tools import __version__
from image_tools.cli.options import Option, Page, first_words, operands_of, second_words

_SEEN = "__fish_seen_subcommand_from"


def fish_script(pages: Sequence[Page[Any]]) -> str:
    """Return the script for `pages`, to be sourced or put into fish's folder of completions."""
    return "\n".join(_lines(pages)) + "\n"


def _lines(pages: Sequence[Page[Any]]) -> Iterator[str]:
    yield f"# fish completion for image-tools {__version__}"
    yield "complete -c image-tools -f"
    for page in pages:
        if " " not in page.name:
            yield _line("__fish_use_subcommand", f"-a {page.name} -d {_quoted(page.summary)}")
    yield _line("__fish_use_subcommand", "-a help -d 'show the help of a command'")
    yield _line(f"{_SEEN} help", f"-a {_quoted(' '.join(first_words(pages)))}")
    for page in pages:
        yield from _page(page, pages)


def _page(page: Page[Any], pages: Sequence[Page[Any]]) -> Iterator[str]:
    first, *second = page.name.split()
    others = second_words(pages, first)
    condition = f"{_SEEN} {first}"
    if second:
        condition += f"; and {_SEEN} {second[0]}"
    elif others:
        condition += f"; and not {_SEEN} {' '.join(others)}"
    if offered := operands_of(page, pages):
        yield _line(condition, f"-a {_quoted(' '.join(offered))}")
    for option in page.options:
        yield _line(condition, _option(option))


def _option(option: Option) -> str:
    words = [f"-l {option.name}"]
    if option.short:
        words.insert(0, f"-s {option.short}")
    if option.takes_file:
        words.append("-r -F")
    elif option.needs_value:
        offered = option.offered
        words.append(f"-x -a {_quoted(' '.join(offered))}" if offered else "-x")
    return " ".join([*words, f"-d {_quoted(option.help)}"])


def _line(condition: str, rest: str) -> str:
    return f"complete -c image-tools -n {_quoted(condition)} {rest}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
