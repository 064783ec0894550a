"""The help of every command as one text, for the documents."""

from __future__ import annotations

from image_tools.cli.catalogue import PAGES
from image_tools.cli.help import command_help

BEGIN = "<!-- scripts/manual writes from here -->"
END = "<!-- to here -->"
_WIDTH = 100


def with_help_pages(document: str) -> str:
    """`document` with the current help pages between its two marks; ValueError without marks."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the marks {BEGIN} and {END} are missing")
    pages = "\n".join(
        f"### {page.name}\n\n```text\n{command_help(page, _WIDTH).rstrip()}\n```\n"
        for page in PAGES
    )
    return f"{before}{BEGIN}\n\n{pages}\n{END}{after}"
