"""Image lists, read completely before anything is copied, and single typed lines."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from image_tools.errors import InvalidList, InvalidReference
from image_tools.imagelist.entry import Entry, ImageList, Problem
from image_tools.imagelist.line import (
    BYTE_ORDER_MARK,
    asks_to_look_behind,
    resolve,
    resolve_source,
    words,
)
from image_tools.imagelist.origin import ListOrigin, origin_in
from image_tools.imagelist.registries import Registries
from image_tools.oci.digest import Digest
from image_tools.oci.reference import Reference

_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)

Resolve = Callable[[list[str], Registries], tuple[Reference, Reference]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedImage:
    """A line and the source it names; lines count from 1."""

    line: int
    raw: str
    reference: Reference


@dataclass(frozen=True, slots=True)
class ListLine:
    """A line with words; `number` counts the images of the list, `line` its lines, from 1."""

    number: int
    line: int
    raw: str
    words: list[str]

    def problem(self, error: InvalidReference) -> Problem:
        """Return the problem of this line."""
        raw = self.raw.lstrip(BYTE_ORDER_MARK)
        return Problem(number=self.number, line=self.line, raw=raw, reason=str(error))

    def entry(self, resolved: Resolve, registries: Registries) -> Entry | Problem:
        """Return the entry of this line, or its problem."""
        try:
            source, destination = resolved(self.words, registries)
        except InvalidReference as error:
            return self.problem(error)
        return Entry(
            number=self.number,
            line=self.line,
            raw=self.raw.lstrip(BYTE_ORDER_MARK),
            source=source,
            destination=destination,
            look_behind=asks_to_look_behind(self.raw),
        )


def read_list(
    content: bytes, name: str, registries: Registries, resolved: Resolve = resolve
) -> ImageList:
    """Return the list in `content`, UTF-8 with any line ends; `name` is for messages.

    `resolved` maps the words of a line to references. An unusable line becomes a Problem. A line
    that repeats an earlier one is only counted, and its `depth=tree` applies to the earlier one.
    Raises InvalidList if two lines write different sources to one destination, or for UTF-16 text.
    """
    seen = _Seen(name, origin_in(content))
    for line in _lines(content, name):
        # A repeated line takes no number.
        numbered = replace(line, number=seen.count + 1)
        seen.add(numbered.entry(resolved, registries))
    return seen.image_list()


def read_line(text: str, number: int, registries: Registries) -> Entry | Problem | None:
    """Return the entry in a typed line, or its problem; None if it is blank or a comment."""
    raw = text.rstrip("\r\n").encode(errors="surrogatepass").decode(errors="replace")
    line_words = words(raw)
    if not line_words:
        return None
    return ListLine(number, number, raw, line_words).entry(resolve, registries)


def read_names(
    content: bytes, name: str, registries: Registries
) -> tuple[tuple[NamedImage, ...], tuple[Problem, ...]]:
    """Return the sources a list names, in order and with repeated ones, and the unusable lines.

    For commands that only inspect the images. Raise InvalidList for UTF-16 text; `name` is for
    that message.
    """
    found: list[NamedImage] = []
    problems: list[Problem] = []
    for line in _lines(content, name):
        try:
            reference = resolve_source(line.words, registries)
        except InvalidReference as error:
            problems.append(line.problem(error))
        else:
            raw = line.raw.lstrip(BYTE_ORDER_MARK)
            found.append(NamedImage(line=line.line, raw=raw, reference=reference))
    return tuple(found), tuple(problems)


def refuse_wide(content: bytes, name: str) -> None:
    """Raise InvalidList if the first bytes of `content` say that it is UTF-16 or UTF-32."""
    if content.startswith(_WIDE_MARKS):
        raise InvalidList(f"{name} is UTF-16 or UTF-32 text", advice="save the list as UTF-8")


def _lines(content: bytes, name: str) -> Iterator[ListLine]:
    refuse_wide(content, name)
    number = 0
    for line, line_bytes in enumerate(content.splitlines(), start=1):
        raw = line_bytes.decode(errors="replace")
        if line_words := words(raw):
            number += 1
            yield ListLine(number, line, raw, line_words)


@dataclass(slots=True)
class _Seen:
    """The lines that were read so far; entries by destination."""

    name: str
    origin: ListOrigin | None
    entries: dict[Reference, Entry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    repeated: int = 0
    conflicts: list[tuple[Entry, Entry]] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.entries) + len(self.problems)

    def add(self, found: Entry | Problem) -> None:
        if isinstance(found, Problem):
            self.problems.append(found)
            return
        earlier = self.entries.setdefault(found.destination, found)
        if earlier is found:
            return
        if _content(earlier.source) == _content(found.source):
            self.repeated += 1
            if found.look_behind:
                self.entries[found.destination] = replace(earlier, look_behind=True)
        else:
            self.conflicts.append((earlier, found))

    def image_list(self) -> ImageList:
        if self.conflicts:
            raise _conflict(self.name, self.conflicts)
        return ImageList(
            name=self.name,
            entries=tuple(self.entries.values()),
            problems=tuple(self.problems),
            repeated=self.repeated,
            origin=self.origin,
        )


def _content(source: Reference) -> tuple[str, str | Digest]:
    return source.name, source.target


def _conflict(name: str, conflicts: list[tuple[Entry, Entry]]) -> InvalidList:
    earlier, later = conflicts[0]
    more = f" (and {len(conflicts) - 1} more such lines)" if len(conflicts) > 1 else ""
    return InvalidList(
        f"{name}: lines {earlier.line} and {later.line} write different sources to"
        f" {earlier.destination}: {earlier.source} and {later.source}{more}",
        advice="remove one of the lines, or give it another destination or tag",
    )
