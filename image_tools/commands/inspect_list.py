"""`inspect list`: one row for every line of an image list."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import Any

from image_tools.commands.inspecting import Inspector
from image_tools.commands.inspection import Inspection
from image_tools.commands.opening import Opening
from image_tools.errors import ImageToolsError
from image_tools.imagelist.entry import Problem
from image_tools.imagelist.reader import NamedImage
from image_tools.machine.concurrency import together
from image_tools.run.line.reader import Reader

SCHEMA = 1
# More at once would only wait in each registry's own window.
MOST_AT_ONCE = 16


class RowStatus(Enum):
    """What became of a line; the values are the words of tables and JSON."""

    FOUND = "found"
    FAILED = "failed"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectListRequest:
    """The images of a list in its order, and the lines that name none; `sizes` reads more."""

    names: tuple[NamedImage, ...]
    problems: tuple[Problem, ...] = ()
    sizes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImage:
    """One line of the list and what was found; `kind` is the failure's stable word."""

    line: int
    raw: str
    status: RowStatus
    reference: str = ""
    inspection: Inspection | None = None
    reason: str = ""
    kind: str = ""
    advice: str = ""

    @property
    def digest(self) -> str:
        """The digest of the image, empty where none was found."""
        return "" if self.inspection is None else str(self.inspection.digest)

    @property
    def media_type(self) -> str:
        """The media type of the image, empty where none was found."""
        return "" if self.inspection is None else self.inspection.media_type

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms of the image, in its order."""
        found = () if self.inspection is None else self.inspection.images
        return tuple(str(image.platform) for image in found)

    @property
    def size(self) -> int | None:
        """The bytes of all blobs, None where they are not known."""
        return None if self.inspection is None else self.inspection.size

    @property
    def attestations(self) -> int:
        """How many attestations the image has."""
        found = () if self.inspection is None else self.inspection.images
        return sum(len(image.attestations) for image in found)

    def to_json(self) -> dict[str, Any]:
        """This row as a JSON object; its keys are the columns of the CSV."""
        return {
            "line": self.line,
            "raw": self.raw,
            "reference": self.reference,
            "status": self.status.value,
            "digest": self.digest,
            "media_type": self.media_type,
            "platforms": list(self.platforms),
            "size": self.size,
            "attestations": self.attestations,
            "reason": self.reason,
            "kind": self.kind,
            "advice": self.advice,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RowList:
    """The rows of a list, in its order."""

    rows: tuple[ListedImage, ...]

    @property
    def exit_code(self) -> int:
        """0 when every line was found, else 1."""
        return int(any(row.status is not RowStatus.FOUND for row in self.rows))

    def to_json(self) -> dict[str, Any]:
        """The JSON document of `inspect list`."""
        return {
            "schema": SCHEMA,
            "command": "inspect list",
            "exit_code": self.exit_code,
            "counts": {s.value: sum(row.status is s for row in self.rows) for s in RowStatus},
            "rows": [row.to_json() for row in self.rows],
        }


def inspect_list(request: InspectListRequest, opening: Opening) -> RowList:
    """A row for every line; a failed image is one of them, no exception."""
    invalid = [
        ListedImage(
            line=p.line, raw=p.raw, status=RowStatus.INVALID, reason=p.reason, kind="invalid-line"
        )
        for p in request.problems
    ]
    found = opening.run(_rows(request, opening))
    return RowList(rows=tuple(sorted([*invalid, *found], key=lambda row: row.line)))


async def _rows(request: InspectListRequest, opening: Opening) -> list[ListedImage]:
    opening.expect(named.reference for named in request.names)
    places, reader = asyncio.Semaphore(MOST_AT_ONCE), Reader()

    async def look(named: NamedImage) -> ListedImage:
        async with places:
            inspector = Inspector(opening.source(named.reference.registry), named.reference, reader)
            return await _row(named, inspector, deep=request.sizes)

    return await together(look(named) for named in request.names)


async def _row(named: NamedImage, inspector: Inspector, *, deep: bool) -> ListedImage:
    try:
        found = await inspector.image(deep=deep, attached=False)
    except ImageToolsError as error:
        return ListedImage(
            line=named.line,
            raw=named.raw,
            reference=str(named.reference),
            status=RowStatus.FAILED,
            reason=error.message,
            kind=error.kind,
            advice=error.advice,
        )
    return ListedImage(
        line=named.line,
        raw=named.raw,
        reference=str(named.reference),
        status=RowStatus.FOUND,
        inspection=found,
    )
