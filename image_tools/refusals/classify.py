"""The one classifier of refusals: kind, whether it is temporary, and what to do.

The table holds each wording of registries and tools once. The first row that applies counts, so the
order is part of the table: specific rows come before general ones. The wordings are those of the
products; `tests/unit/refusals/` names where each of them is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass

from image_tools.errors import ImageToolsError, UnknownFailure
from image_tools.refusals.case import Case
from image_tools.refusals.general_rows import GENERAL
from image_tools.refusals.network_rows import NETWORK, PROXIES
from image_tools.refusals.push_rows import LIMITS, PUSHES
from image_tools.refusals.row import RefusalRow
from image_tools.refusals.tool_rows import ROOM, TOOLS

ROWS: tuple[RefusalRow, ...] = (*ROOM, *TOOLS, *PROXIES, *LIMITS, *NETWORK, *PUSHES, *GENERAL)
UNKNOWN = RefusalRow(kind=UnknownFailure)


@dataclass(frozen=True, slots=True)
class RefusalReading:
    """The meaning of a refusal: the row that applies, with its sentence and hint for this case.

    `hint` is empty if that of the kind applies.
    """

    row: RefusalRow
    said: str
    hint: str

    def error(self, message: str, *, status: int | None = None) -> ImageToolsError:
        """Return the error to raise, with `message`."""
        return self.row.error(message, status=status, hint=self.hint)


def classify(case: Case) -> RefusalReading:
    """Return what `case` means: the first row of the table that applies."""
    for row in ROWS:
        groups = row.found(case)
        if groups is not None:
            return _verdict(row, case, groups)
    return _verdict(UNKNOWN, case, {})


def _verdict(row: RefusalRow, case: Case, groups: dict[str, str]) -> RefusalReading:
    fields = {**case.fields, **groups}
    return RefusalReading(row, row.said.format_map(fields), row.hint.format_map(fields))
