"""The images a list names, wherever they shall go: for commands that only look at them."""

from __future__ import annotations

from dataclasses import dataclass

from image_tools.errors import InvalidReference
from image_tools.imagelist.entry import Problem
from image_tools.imagelist.line import resolve_source, words
from image_tools.imagelist.reader import refuse_wide
from image_tools.imagelist.registries import Registries
from image_tools.oci.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One line and the image it names as its source; lines count from 1."""

    line: int
    raw: str
    reference: Reference


def read_names(
    content: bytes, name: str, registries: Registries
) -> tuple[tuple[Named, ...], tuple[Problem, ...]]:
    """The named images in list order, repeated ones too, and the lines that name none.

    InvalidList when the text is UTF-16; `name` is for that message.
    """
    refuse_wide(content, name)
    found: list[Named] = []
    problems: list[Problem] = []
    for line, line_bytes in enumerate(content.splitlines(), start=1):
        raw = line_bytes.decode(errors="replace").lstrip("\ufeff")
        line_words = words(raw)
        if not line_words:
            continue
        try:
            reference = resolve_source(line_words, registries)
        except InvalidReference as error:
            number = len(found) + len(problems) + 1
            problems.append(Problem(number=number, line=line, raw=raw, reason=str(error)))
        else:
            found.append(Named(line=line, raw=raw, reference=reference))
    return tuple(found), tuple(problems)
