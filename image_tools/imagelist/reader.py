"""Image lists, read whole before anything is copied; single lines, for typing them."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from image_tools.errors import InvalidList, InvalidReference
from image_tools.imagelist.entry import Entry, ImageList, Problem
from image_tools.imagelist.line import asks_to_look_behind, resolve, resolve_source, words
from image_tools.imagelist.origin import ListOrigin, origin_in
from image_tools.imagelist.registries import Registries
from image_tools.oci.digest import Digest
from image_tools.oci.reference import Reference

_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


Resolve = Callable[[list[str], Registries], tuple[Reference, Reference]]


def read_list(
    content: bytes, name: str, registries: Registries, resolved: Resolve = resolve
) -> ImageList:
    """The list in `content`, UTF-8 with any line ends; `name` is for messages.

    `resolved` says what the words of a line mean. A line that cannot be used is a Problem, one
    that repeats an earlier one is only counted; its wish to look behind a tag is kept.
    InvalidList when two lines write different sources to one destination, or the text is UTF-16.
    """
    refuse_wide(content, name)
    seen = _Seen(name, origin_in(content))
    for line, line_bytes in enumerate(content.splitlines(), start=1):
        raw = line_bytes.decode(errors="replace")
        if line_words := words(raw):
            place = (seen.count + 1, line)
            seen.add(_read(line_words, raw, place, lambda found: resolved(found, registries)))
    return seen.image_list()


def refuse_wide(content: bytes, name: str) -> None:
    """Nothing when `content` may be UTF-8; InvalidList when its first bytes say otherwise."""
    if content.startswith(_WIDE_MARKS):
        raise InvalidList(f"{name} is UTF-16 or UTF-32 text", advice="save the list as UTF-8")


def read_line(text: str, number: int, registries: Registries) -> Entry | Problem | None:
    """What one typed line says, as number and line `number`; None when blank or a comment."""
    raw = text.rstrip("\r\n").encode(errors="surrogatepass").decode(errors="replace")
    line_words = words(raw)
    if not line_words:
        return None
    return _read(line_words, raw, (number, number), lambda found: resolve(found, registries))


def _read(
    line_words: list[str],
    raw: str,
    place: tuple[int, int],
    resolved: Callable[[list[str]], tuple[Reference, Reference]],
) -> Entry | Problem:
    number, line = place
    stated = raw.lstrip("\ufeff")
    try:
        source, destination = resolved(line_words)
    except InvalidReference as error:
        return Problem(number=number, line=line, raw=stated, reason=str(error))
    return Entry(
        number=number,
        line=line,
        raw=stated,
        source=source,
        destination=destination,
        look_behind=asks_to_look_behind(raw),
    )


@dataclass(slots=True)
class _Seen:
    """What was read so far, by destination."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedImage:
    """One line and the image it names as its source; lines count from 1."""

    line: int
    raw: str
    reference: Reference


def read_names(
    content: bytes, name: str, registries: Registries
) -> tuple[tuple[NamedImage, ...], tuple[Problem, ...]]:
    """The named images in list order, repeated ones too, and the lines that name none.

    InvalidList when the text is UTF-16; `name` is for that message.
    """
    refuse_wide(content, name)
    found: list[NamedImage] = []
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
            found.append(NamedImage(line=line, raw=raw, reference=reference))
    return tuple(found), tuple(problems)
