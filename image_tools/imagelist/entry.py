"""What an image list says: its entries, and the lines that say nothing we understand."""

from __future__ import annotations

from dataclasses import dataclass

from image_tools.imagelist.origin import ListOrigin
from image_tools.oci.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One image to copy.

    `number` counts entries and problems of a list from 1, `line` its lines; `raw` is the line as
    it was written. The destination always has a tag and never a digest; a source with a digest
    is meant by it, whatever its tag. `look_behind`: the line asks to look behind an unchanged tag.
    """

    number: int
    line: int
    raw: str
    source: Reference
    destination: Reference
    look_behind: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One unusable line; `reason` says what to write instead, without file and line."""

    number: int
    line: int
    raw: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageList:
    """A whole list in its order; `repeated` counts the lines that say what an earlier one said.

    `skipped` are unusable lines that are only warned about. `origin` is what the list says of
    itself where it is a failed list. `typed` is one line of those
    that come one by one.
    """

    name: str
    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()
    skipped: tuple[Problem, ...] = ()
    repeated: int = 0
    origin: ListOrigin | None = None
    typed: bool = False
