"""Conversion of a list to the other format, line by line; other lines stay as they are."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from image_tools.errors import InvalidReference, UsageError
from image_tools.imagelist.entry import Problem
from image_tools.imagelist.line import BYTE_ORDER_MARK, resolve_names, words
from image_tools.imagelist.reader import refuse_wide
from image_tools.imagelist.registries import Registries
from image_tools.oci.digest import Digest
from image_tools.oci.reference import DOCKER_HUB, OFFICIAL_PROJECT, Reference

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A converted list.

    `images` counts its lines with words, `changed` those in the new format. `kept` are lines that
    the format cannot express, `problems` unusable ones; both are unchanged in `content`.
    """

    content: bytes
    images: int
    changed: int
    kept: tuple[Problem, ...] = ()
    problems: tuple[Problem, ...] = ()


class _NotSayable(Exception):
    """The other format cannot express this line."""


# Returns the new words of a line; None leaves the line as it is.
_Convert = Callable[[list[str]], list[str] | None]


def to_mirror_format(content: bytes, name: str, registries: Registries) -> Converted:
    """Return `content` with every image as `SOURCE DESTINATION TAG`, with complete names.

    With the same default project, it means without `registries` what `content` means with them. A
    line already in that format is changed only if `registries` replace a registry. Raises
    InvalidList for UTF-16 text; `name` is for that message.
    """
    replaces = bool(registries.source or registries.destination)

    def convert(line_words: list[str]) -> list[str] | None:
        source, destination = resolve_names(line_words, registries)
        keeps = len(line_words) == 3 and not replaces
        return None if keeps else _three_words(source, destination)

    return _each(content, name, convert)


def to_default_format(content: bytes, name: str, registries: Registries) -> Converted:
    """Return `content` with every image as one `REFERENCE`, if that means the same.

    A line whose destination has another registry, path or tag stays as it is. If `registries` have
    no destination, it is the registry that the list writes to; raise UsageError if there are
    several.
    """
    if registries.destination is None:
        registries = replace(registries, destination=_only_destination(content, registries))
    as_written = replace(registries, destination=None, destination_prefix="")

    def convert(line_words: list[str]) -> list[str] | None:
        if len(line_words) == 1 and not registries.source:
            return None
        meant = resolve_names(line_words, registries if len(line_words) == 1 else as_written)
        return [_one_word(*meant, registries)]

    return _each(content, name, convert)


def _each(content: bytes, name: str, convert: _Convert) -> Converted:
    refuse_wide(content, name)
    pieces: list[bytes] = []
    kept: list[Problem] = []
    problems: list[Problem] = []
    changed = images = 0
    for line, line_bytes in enumerate(content.splitlines(keepends=True), start=1):
        raw = line_bytes.decode(errors="replace").strip(f"{BYTE_ORDER_MARK}\r\n")
        line_words = words(raw)
        images += bool(line_words)
        new: list[str] | None = None
        try:
            new = convert(line_words) if line_words else None
        except _NotSayable as reason:
            kept.append(Problem(number=images, line=line, raw=raw, reason=str(reason)))
        except InvalidReference as error:
            problems.append(Problem(number=images, line=line, raw=raw, reason=str(error)))
        changed += new is not None
        pieces.append(line_bytes if new is None else _rewritten(line_bytes, len(line_words), new))
    return Converted(
        content=b"".join(pieces),
        images=images,
        changed=changed,
        kept=tuple(kept),
        problems=tuple(problems),
    )


def _rewritten(line: bytes, count: int, new: list[str]) -> bytes:
    """Return `line` with `new` for its first `count` words; indent, comment and line end stay."""
    # A comment may have bytes that are not UTF-8; they are kept.
    text = line.decode(errors="surrogateescape")
    start = len(text) - len(text.lstrip(BYTE_ORDER_MARK))
    found = list(_WORD.finditer(text, start))
    rest = text[found[count - 1].end() :]
    return f"{text[: found[0].start()]}{' '.join(new)}{rest}".encode(errors="surrogateescape")


def _three_words(source: Reference, destination: Reference) -> list[str]:
    assert destination.tag is not None
    says_tag = source.digest is None and source.tag == destination.tag
    return [source.name if says_tag else str(source), destination.name, destination.tag]


def _one_word(source: Reference, destination: Reference, registries: Registries) -> str:
    end = f":{destination.tag}" + (f"@{source.digest}" if source.digest else "")
    # A name of Docker Hub may fit the default project only without `library`.
    names = (source.name, source.name.removeprefix(f"{DOCKER_HUB}/{OFFICIAL_PROJECT}/"))
    wanted = _meaning(source, destination)
    for name in names:
        if _meaning(*resolve_names([name + end], registries)) == wanted:
            return name + end
    goes_to = resolve_names([names[0] + end], registries)[1]
    raise _NotSayable(f"{names[0]}{end} would not say it: that goes to {goes_to}")


def _meaning(source: Reference, destination: Reference) -> tuple[str, str | Digest, Reference]:
    return source.name, source.target, destination


def _only_destination(content: bytes, registries: Registries) -> str | None:
    found: dict[str, None] = {}
    for line in content.splitlines():
        line_words = words(line.decode(errors="replace"))
        with contextlib.suppress(InvalidReference):
            if len(line_words) == 3:
                found[resolve_names(line_words, registries)[1].registry] = None
    if len(found) > 1:
        raise UsageError(
            f"the list writes to several registries: {', '.join(found)}",
            advice="choose with -d the one that is to be left out of the lines",
        )
    return next(iter(found), None)
