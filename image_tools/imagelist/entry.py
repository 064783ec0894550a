"""The content of an image list: its entries, and the lines that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass

from image_tools.imagelist.origin import ListOrigin
from image_tools.oci.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An image to copy.

    `number` counts the entries and problems of a list, `line` its lines, both from 1; `raw` is the
    line as it was written. The destination has a tag and no digest. A digest of the source wins
    over its tag. `look_behind`: check the content behind the tag even if the tag is unchanged.
    """

    number: int
    line: int
    raw: str
    source: Reference
    destination: Reference
    look_behind: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An unusable line; `reason` says what to write instead, without file and line."""

    number: int
    line: int
    raw: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageList:
    """A complete list, in order.

    `skipped` are unusable lines that only cause a warning. `repeated` counts the lines that repeat
    an earlier one. `origin` is the header of a failed list. `typed`: it is a single typed line.
    """

    name: str
    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()
    skipped: tuple[Problem, ...] = ()
    repeated: int = 0
    origin: ListOrigin | None = None
    typed: bool = False
