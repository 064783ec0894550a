"""Tables as plain text; nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from image_tools.cli.redact import clean
from image_tools.cli.text import cells, clipped, padded

_GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, the width it can shrink to (None: never), its side, how it is cut."""

    title: str
    least: int | None = None
    right: bool = False
    keep_end: bool = True


IMAGE = Column("IMAGE", least=24)
PLATFORMS = Column("PLATFORMS", least=12)
SIZE = Column("SIZE", right=True)
DIGEST = Column("DIGEST", least=len("sha256:") + 13, keep_end=False)


def table(
    columns: Sequence[Column], rows: Sequence[tuple[str, ...]], width: int | None
) -> list[str]:
    """Return the lines of a table, titles first, without empty columns other than IMAGE."""
    cleaned = [tuple(clean(cell).replace("\n", " ") for cell in row) for row in rows]
    kept = [
        index
        for index, column in enumerate(columns)
        if any(row[index] for row in cleaned) or column.title == "IMAGE"
    ]
    columns = [columns[index] for index in kept]
    lines = [
        tuple(column.title for column in columns),
        *(tuple(row[index] for index in kept) for row in cleaned),
    ]
    widths = _widths(columns, lines, width)
    return [_line(columns, row, widths) for row in lines]


def _widths(
    columns: Sequence[Column], table: Sequence[tuple[str, ...]], width: int | None
) -> list[int]:
    widths = [max(cells(row[index]) for row in table) for index in range(len(columns))]
    if width is None:
        return widths
    excess = sum(widths) + _GAP * (len(widths) - 1) - width
    for index in sorted(range(len(columns)), key=lambda index: -widths[index]):
        least = columns[index].least
        if excess > 0 and least is not None:
            given = min(excess, max(0, widths[index] - least))
            widths[index] -= given
            excess -= given
    return _fitting(widths, width)


def _fitting(widths: list[int], width: int) -> list[int]:
    # Columns that find no room on a narrow screen are left out, from the right.
    fitting = list(widths)
    while len(fitting) > 2 and sum(fitting) + _GAP * (len(fitting) - 1) > width:
        fitting.pop()
    return fitting


def _line(columns: Sequence[Column], row: tuple[str, ...], widths: Sequence[int]) -> str:
    parts = [
        padded(clipped(cell, width, keep_end=column.keep_end), width, right=column.right)
        for column, cell, width in zip(columns, row, widths, strict=False)
    ]
    return (" " * _GAP).join(parts).rstrip()
