"""`inspect list`: describe the image on every line of a list."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from image_tools.commands.inspect import Inspector
from image_tools.commands.inspection import Inspection
from image_tools.commands.opening import Opening, ask_each
from image_tools.errors import ImageToolsError
from image_tools.imagelist.entry import Problem
from image_tools.imagelist.reader import NamedImage
from image_tools.report import SCHEMA
from image_tools.run.reader import Reader


class RowStatus(Enum):
    """The result of a line, in the words of tables and JSON."""

    FOUND = "found"
    FAILED = "failed"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectListRequest:
    """The images of a list in its order, and its invalid lines.

    `sizes` reads the manifest of every platform as well.
    """

    names: tuple[NamedImage, ...]
    problems: tuple[Problem, ...] = ()
    sizes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImage:
    """One line of the list and its image; `kind` names the failure for scripts."""

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
        """Return the digest of the image; empty without one."""
        return "" if self.inspection is None else str(self.inspection.digest)

    @property
    def media_type(self) -> str:
        """Return the media type of the image; empty without one."""
        return "" if self.inspection is None else self.inspection.media_type

    @property
    def platforms(self) -> tuple[str, ...]:
        """Return the platforms of the image, in the order of its index."""
        found = () if self.inspection is None else self.inspection.images
        return tuple(str(image.platform) for image in found)

    @property
    def size(self) -> int | None:
        """Return the size of all blobs in bytes, None where it is not known."""
        return None if self.inspection is None else self.inspection.size

    @property
    def attestations(self) -> int:
        """Return the number of attestations of the image."""
        found = () if self.inspection is None else self.inspection.images
        return sum(len(image.attestations) for image in found)

    def to_json(self) -> dict[str, Any]:
        """Return the row as a JSON object; its keys are the columns of the CSV."""
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
        """Return 0 when every image was found, else 1."""
        return int(any(row.status is not RowStatus.FOUND for row in self.rows))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of `inspect list`."""
        return {
            "schema": SCHEMA,
            "command": "inspect list",
            "exit_code": self.exit_code,
            "counts": {s.value: sum(row.status is s for row in self.rows) for s in RowStatus},
            "rows": [row.to_json() for row in self.rows],
        }


def inspect_list(request: InspectListRequest, opening: Opening) -> RowList:
    """Return a row for every line; an image that cannot be read is a row, not an exception."""
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
    reader = Reader()

    async def row(named: NamedImage) -> ListedImage:
        bare = ListedImage(
            line=named.line,
            raw=named.raw,
            status=RowStatus.FOUND,
            reference=str(named.reference),
        )
        inspector = Inspector(opening.source(named.reference.registry), named.reference, reader)
        try:
            found = await inspector.image(deep=request.sizes, attached=False)
        except ImageToolsError as error:
            return replace(
                bare,
                status=RowStatus.FAILED,
                reason=error.message,
                kind=error.kind,
                advice=error.advice,
            )
        return replace(bare, inspection=found)

    return await ask_each(request.names, row)
