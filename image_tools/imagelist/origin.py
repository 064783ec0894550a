"""The header of a failed list: the list that its lines are from, and their destination."""

from __future__ import annotations

import re
from dataclasses import dataclass

from image_tools.errors import one_line

STANDARD_INPUT = "standard input"

_TITLE = re.compile(r"# failed lines of (.*), ready to be fed in again")
_PLACE = re.compile(r"# list: (.+)")
_DESTINATION = re.compile(r"# destination: (.+)")
# Longer than a header with the longest paths that systems allow.
HEADER_BYTES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOrigin:
    """The list and the destination of a run, as in the header of its failed list.

    `name` is the name of the list in messages, `place` its absolute path or `standard input`.
    `place` and `destination` are empty in headers of earlier releases.
    """

    name: str
    place: str = ""
    destination: str = ""

    @property
    def header(self) -> str:
        """Return the first lines of the failed list."""
        lines = [f"# failed lines of {one_line(self.name)}, ready to be fed in again"]
        if self.place:
            lines += [f"# list: {one_line(self.place)}"]
            lines += [f"# destination: {one_line(self.destination)}"]
        return "".join(f"{line}\n" for line in lines)

    def is_of(self, other: ListOrigin) -> bool:
        """Return whether list and destination are the same; without a `place`, the names decide."""
        if not (self.place and other.place):
            return one_line(self.name) == one_line(other.name)
        mine, theirs = ((one_line(o.place), one_line(o.destination)) for o in (self, other))
        return mine == theirs


def origin_in(content: bytes) -> ListOrigin | None:
    """Return the header of `content`, or None if it is not a failed list."""
    lines = content[:HEADER_BYTES].decode(errors="replace").splitlines()[:3]
    title, place, destination = (
        pattern.fullmatch(line.removeprefix("\ufeff").strip())
        for pattern, line in zip((_TITLE, _PLACE, _DESTINATION), (*lines, "", "", ""), strict=False)
    )
    if title is None:
        return None
    if place is None or destination is None:
        return ListOrigin(name=title[1])
    return ListOrigin(name=title[1], place=place[1], destination=destination[1])
