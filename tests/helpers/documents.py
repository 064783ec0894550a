"""The documents of the project as tests read them: blocks, spans, tables, commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")


def text_of(name: str) -> str:
    """Give a document by its path below the project."""
    return (ROOT / name).read_text(encoding="utf-8")


def prose_of(name: str) -> str:
    """Give a document without its code blocks."""
    return FENCE.sub("", text_of(name))


def blocks(name: str, language: str = "") -> list[str]:
    """Give the code blocks of a document, of one language when given."""
    return [code for kind, code in FENCE.findall(text_of(name)) if language in ("", kind)]


def shell_sections(name: str) -> dict[str, list[str]]:
    """Give the shell blocks below each heading that has some, in the order of the document."""
    text, found = text_of(name), dict[str, list[str]]()
    covered = [(block.start(), block.end()) for block in FENCE.finditer(text)]
    titles = [
        title
        for title in HEADING.finditer(text)
        if not any(start <= title.start() < end for start, end in covered)
    ]
    for block in FENCE.finditer(text):
        if block[1] == "sh":
            above = [title[2] for title in titles if title.start() < block.start()][-1]
            found.setdefault(above, []).append(block[2])
    return found


def rows(text: str, heading: str) -> list[list[str]]:
    """Give the cells of the first table below a line that begins with ``heading``, untitled."""
    lines = iter(text.splitlines())
    next(line for line in lines if line.startswith(heading))
    found: list[list[str]] = []
    for line in lines:
        if line.startswith("|"):
            found.append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif found:
            break
    return found[2:]


def spans(cell: str) -> list[str]:
    """Give the code spans of a text."""
    return [code.strip() for code in SPAN.findall(cell)]


def commands(name: str) -> Iterator[str]:
    """Give every command line of image-tools in shell blocks, and in spans of the prose."""
    for block in blocks(name, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            yield from pieces(line)
    for span in spans(prose_of(name)):
        if re.match(r"(\./)?image-tools [a-z]", span) and "--version" not in span:
            yield span


def pieces(line: str) -> Iterator[str]:
    """Give the parts of a shell line between pipes and redirections that start image-tools."""
    for piece in re.split(r"\s*(?:\||>|&&|;)\s*", line):
        words = piece.split()
        while words and "=" in words[0]:
            words.pop(0)
        if words and words[0] in ("image-tools", "./image-tools"):
            yield " ".join(words)
