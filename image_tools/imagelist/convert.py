"""A list from one format to the other, line by line; all that is no image stays as it is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from image_tools.errors import InvalidReference, UsageError
from image_tools.imagelist.entry import Problem
from image_tools.imagelist.line import resolve_names, words
from image_tools.imagelist.reader import refuse_wide
from image_tools.imagelist.registries import Registries
from image_tools.oci.digest import Digest
from image_tools.oci.reference import Reference

_WORD = re.compile(r"\S+")
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A converted list.

    `changed` counts its lines in the new format; `kept` are the lines that format cannot say, and
    `problems` those nobody can read: both stand in `content` as they were.
    """

    content: bytes
    changed: int
    kept: tuple[Problem, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class _Lines:
    """What has come of the lines so far."""

    pieces: list[bytes] = field(default_factory=list)
    changed: int = 0
    kept: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def converted(self) -> Converted:
        return Converted(
            content=b"".join(self.pieces),
            changed=self.changed,
            kept=tuple(self.kept),
            problems=tuple(self.problems),
        )


class _NotSayable(Exception):
    """The other format has no words for this line."""


def to_mirror_format(content: bytes, name: str, registries: Registries) -> Converted:
    """`content` with every image as `SOURCE DESTINATION TAG`, both names complete.

    Mirrored without -s and -d it means what `content` means with `registries`. A line in that
    format already is only changed where `registries` replace a registry. InvalidList for UTF-16.
    """
    replaces = bool(registries.source or registries.destination)

    def convert(line_words: list[str]) -> list[str] | None:
        source, destination = resolve_names(line_words, registries)
        if len(line_words) == 3 and not replaces:
            return None
        return _three_words(source, destination)

    return _each(content, name, convert)


def to_default_format(content: bytes, name: str, registries: Registries) -> Converted:
    """`content` with every image as one `REFERENCE`, where that says the same with `registries`.

    A line whose destination has another path, tag or registry stays as it is. Without a
    destination in `registries` it is the only registry the list writes to; UsageError for several.
    """
    if registries.destination is None:
        registries = replace(registries, destination=_only_destination(content, registries))
    as_written = replace(registries, destination=None, destination_prefix="")

    def convert(line_words: list[str]) -> list[str] | None:
        if len(line_words) == 1:
            source, _ = resolve_names(line_words, registries)
            return [_one_word(source, source.tag)] if registries.source else None
        source, destination = resolve_names(line_words, as_written)
        word = _one_word(source, destination.tag)
        if _meaning(*resolve_names([word], registries)) != _meaning(source, destination):
            said = resolve_names([word], registries)[1]
            raise _NotSayable(f"{word} would go to {said}, not to {destination}")
        return [word]

    return _each(content, name, convert)
