"""Help pages as text, fitted to a width."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from image_tools.cli.options import Note, Operand, Option, Page

_COLUMN = 28
_NAMES = 12
_NARROWEST, _WIDEST = 40, 100
_BEGIN = "<!-- scripts/manual writes from here -->"
_END = "<!-- to here -->"


def overview(pages: Sequence[Page[Any]], width: int) -> str:
    """Return the help of the program itself: its verbs."""
    width = _readable(width)
    rows = [*((page.name, page.summary) for page in pages), ("help", "show the help of a command")]
    column = max(_NAMES, 2 + max(len(name) for name, _ in rows))
    about = "Mirror lists of multi-platform container images, with skopeo and docker buildx."
    return "\n".join(
        [
            "Usage: image-tools COMMAND [OPTIONS]",
            "",
            *textwrap.wrap(about, width),
            "",
            "Commands:",
            *(line for name, summary in rows for line in _row(name, summary, width, column)),
            "",
            *textwrap.wrap("image-tools COMMAND --help tells more about a command.", width),
            "",
        ]
    )


def command_help(page: Page[Any], width: int) -> str:
    """Return the help of one verb, at most 100 columns wide, at least 40."""
    width = _readable(width)
    words = [page.name, *map(_operand, page.operands), "[OPTIONS]"]
    lines = [f"Usage: image-tools {' '.join(words)}", "", *textwrap.wrap(page.about, width)]
    if page.operands:
        lines += ["", "Arguments:"]
        lines += [line for o in page.operands for line in _row(o.metavar, o.help, width, _COLUMN)]
    for group in page.groups:
        lines += ["", f"{group.title}:"]
        lines += [line for option in group.options for line in _option(option, width)]
    for note in page.notes:
        lines += ["", f"{note.title}:", *_note(note, width)]
    return "\n".join([*lines, ""])


def with_help_pages(document: str, pages: Sequence[Page[Any]]) -> str:
    """Return `document` with the help of `pages` between its two marks.

    ValueError without the marks.
    """
    before, begin, rest = document.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"the marks {_BEGIN} and {_END} are missing")
    written = "\n".join(
        f"### {page.name}\n\n```text\n{command_help(page, _WIDEST).rstrip()}\n```\n"
        for page in pages
    )
    return f"{before}{_BEGIN}\n\n{written}\n{_END}{after}"


def _operand(operand: Operand) -> str:
    return f"[{operand.metavar}]" if operand.optional else operand.metavar


def _readable(width: int) -> int:
    return min(max(width, _NARROWEST), _WIDEST)


def _option(option: Option, width: int) -> Iterator[str]:
    return _row(_spelling(option), option.help + _default(option), width, _COLUMN)


def _spelling(option: Option) -> str:
    short = f"-{option.short}, " if option.short else "    "
    if option.bare is None:
        return f"{short}--{option.name} {option.metavar}"
    switch = option.bare == "true" and option.default == "false"
    value = "" if switch else f"[={option.metavar or 'BOOL'}]"
    return f"{short}--{option.name}{value}"


def _default(option: Option) -> str:
    shown = option.shown or ("" if option.default in (None, "false") else option.default)
    return f" (default: {shown})" if shown else ""


def _row(left: str, right: str, width: int, column: int) -> Iterator[str]:
    column = min(column, width // 3)
    texts = textwrap.wrap(right, width - column - 2)
    if len(left) + 4 > column + 2:
        yield f"  {left}"
    else:
        yield f"  {left:{column}}{texts.pop(0)}".rstrip()
    for text in texts:
        yield " " * (column + 2) + text


def _note(note: Note, width: int) -> Iterator[str]:
    for line in note.lines:
        yield from textwrap.wrap(
            line,
            width,
            initial_indent="  ",
            subsequent_indent="      ",
            break_long_words=False,
            break_on_hyphens=False,
        )
