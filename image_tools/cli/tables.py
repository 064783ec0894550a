"""Reports and plans as plain text; nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from image_tools.cli.redact import clean
from image_tools.cli.text import cells, clipped, human_bytes, human_seconds, padded
from image_tools.report import (
    UNFINISHED,
    DryRunPlan,
    Kept,
    Outcome,
    PlanAction,
    PlanRow,
    Pulls,
    Report,
    Status,
)

_GAP = 2
_MANY_UNCHANGED = 50
_MOST_PUT_OFF = 20
_DIGEST_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title, the width it can shrink to (None: never), its side, how it is cut."""

    title: str
    least: int | None = None
    right: bool = False
    keep_end: bool = True


_RESULT_COLUMNS = (
    Column("STATUS"),
    Column("IMAGE", least=24),
    Column("PLATFORMS", least=12),
    Column("DIGEST", least=_DIGEST_SHOWN + 1, keep_end=False),
    Column("SIZE", right=True),
    Column("TIME", right=True),
)
_PLAN_COLUMNS = (
    Column("ACTION"),
    Column("IMAGE", least=24),
    Column("PLATFORMS", least=12),
    Column("SIZE", right=True),
    Column("READS", right=True),
    Column("REASON", least=12),
)


def result_table(report: Report, width: int | None, *, all_rows: bool = False) -> str:
    """The outcomes of a run in list order, within `width` columns; None is no limit.

    More than 50 unchanged images are one line unless `all_rows`.
    """
    unchanged = report.counts[Status.UNCHANGED]
    folded = unchanged > _MANY_UNCHANGED and not all_rows
    shown = [o for o in report.outcomes if not (folded and o.status is Status.UNCHANGED)]
    lines = table(_RESULT_COLUMNS, [_result_row(o) for o in shown], width) if shown else []
    if folded:
        lines.append(f"{'and ' if shown else ''}{unchanged:,} unchanged (--all-rows shows them)")
    return "\n".join(lines)


def _result_row(outcome: Outcome) -> tuple[str, ...]:
    done = outcome.status is Status.COPIED
    return (
        outcome.status.value,
        outcome.destination or outcome.raw.strip(),
        " ".join(filter(None, (_platforms(outcome.platforms), _kept(outcome.kept)))),
        _digest(outcome),
        human_bytes(outcome.bytes_moved) if done or outcome.bytes_moved else "",
        human_seconds(outcome.seconds) if done or outcome.seconds else "",
    )


def _digest(outcome: Outcome) -> str:
    short = outcome.digest.rpartition(":")[2][:_DIGEST_SHOWN]
    word = outcome.change.value if short and outcome.change else ""
    return " ".join(filter(None, (short, word)))


def _kept(kept: Iterable[Kept]) -> str:
    platforms = _platforms(one.platform for one in kept)
    return f"(kept: {platforms})" if platforms else ""


def _platforms(platforms: Iterable[str]) -> str:
    # Nearly all images are for Linux alone: the word only costs room.
    return ",".join(platform.removeprefix("linux/") for platform in platforms)


def result_line(outcome: Outcome) -> str:
    """One outcome as one line, for results that come one by one."""
    row = [clean(cell).replace("\n", " ") for cell in _result_row(outcome) if cell]
    reason = " ".join(clean(outcome.reason).split()) if outcome.status is not Status.COPIED else ""
    return "  ".join(row) + (f": {reason}" if reason else "")


def summary(report: Report) -> str:
    """The counts of a run in one line; statuses that did not occur are left out."""
    counts = ", ".join(f"{n:,} {status.value}" for status, n in report.counts.items() if n)
    total = len(report.outcomes)
    images = f"{total:,} image{'' if total == 1 else 's'}"
    moved = f"{human_bytes(report.bytes_moved)} in {human_seconds(report.seconds)}"
    return f"{images}: {counts}; {moved}" if total else "nothing to do: no images"


def failures(report: Report) -> str:
    """What failed and why, one paragraph per line of the list; empty when all went well."""
    apart = {Status.UNSTARTED, Status.DEFERRED}
    wrong = (o for o in report.outcomes if o.status in UNFINISHED - apart)
    put_off = [o for o in report.outcomes if o.status is Status.DEFERRED]
    lines = [line for outcome in wrong for line in _failure(outcome)]
    return "\n".join([*lines, *_put_off(put_off)])


def _put_off(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Images a pull limit put off: one line each, twenty at most, the advice once."""
    for outcome in outcomes[:_MOST_PUT_OFF]:
        yield f"line {outcome.line}: deferred: {' '.join(clean(outcome.reason).split())}"
    if len(outcomes) > _MOST_PUT_OFF:
        yield f"and {len(outcomes) - _MOST_PUT_OFF:,} more deferred"
    yield from (f"    {advice}" for advice in dict.fromkeys(o.advice for o in outcomes) if advice)


def _failure(outcome: Outcome) -> Iterator[str]:
    # In an archive an image has the name it has at its source.
    names = dict.fromkeys(filter(None, (outcome.source, outcome.destination)))
    what = " -> ".join(names) if outcome.source else outcome.raw.strip()
    yield clean(f"line {outcome.line}: {outcome.status.value}: {what}")
    for text in (outcome.reason, outcome.advice):
        yield from (f"    {line}" for line in clean(text).splitlines() if line.strip())


def plan_table(outlook: DryRunPlan, width: int | None) -> str:
    """The plan of a dry run, with a line of totals and one for each registry that counts pulls."""
    rows = outlook.rows
    lines = table(_PLAN_COLUMNS, [_plan_row(row) for row in rows], width) if rows else []
    totals = [_plan_totals(rows), *map(_pulls, outlook.pulls)]
    return "\n".join([*lines, *([""] if rows else []), *totals])


def _plan_row(row: PlanRow) -> tuple[str, ...]:
    copies = row.action is PlanAction.COPY and row.bytes_to_move is not None
    return (
        row.action.value,
        row.destination or row.source,
        _platforms(row.platforms),
        human_bytes(row.bytes_to_move or 0) if copies else "",
        str(row.manifest_gets) if row.manifest_gets else "",
        row.reason,
    )


def _plan_totals(rows: Sequence[PlanRow]) -> str:
    counts = {action: sum(row.action is action for row in rows) for action in PlanAction}
    said = ", ".join(f"{n:,} {action.value}" for action, n in counts.items() if n) or "no images"
    size = human_bytes(sum(row.bytes_to_move or 0 for row in rows))
    if any(row.bytes_to_move is None for row in rows):
        size = f"{size} or more"
    gets = sum(row.manifest_gets for row in rows)
    return f"Dry run: {said}; {size} to move, {gets:,} manifests to read. Nothing was written."


def _pulls(pulls: Pulls) -> str:
    of = "" if pulls.limit is None else f" of {pulls.limit:,}"
    return (
        f"{pulls.registry} counts manifests as pulls: {pulls.spent:,} spent on this dry run,"
        f" {pulls.left:,}{of} left."
    )


def table(
    columns: Sequence[Column], rows: Sequence[tuple[str, ...]], width: int | None
) -> list[str]:
    """The lines of a table, its titles first; columns without any text are left out, but IMAGE."""
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
