"""A run's results and plans: their text, and how they reach their readers.

Results go to standard output, what failed to standard error, the report to its file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loguru import logger

from image_tools.cli import render
from image_tools.cli.redact import clean
from image_tools.cli.tables import IMAGE, PLATFORMS, SIZE, Column, table
from image_tools.cli.text import human_bytes, human_seconds, is_terminal, terminal_width
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

_MANY_UNCHANGED = 50
_MOST_PUT_OFF = 20
_DIGEST_SHOWN = 12
_ALL_SKIPPED = "every image was skipped: none has a platform you chose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Where and how results are shown; `width` is in columns, None for no limit."""

    as_json: bool = False
    quiet: bool = False
    all_rows: bool = False
    width: int | None = None
    report: Path | None = None

    def show(self, report: Report, *, typed: bool = False) -> int:
        """Show a whole run; its exit code, or 1 where the report file cannot be written.

        `typed` is a run whose lines were shown one by one: there is no table.
        """
        # The file first: it is complete even if standard output is closed.
        written = self._write(report.to_json())
        if self.as_json:
            render.out_json(report.to_json())
        elif report.outcomes and not self.quiet and not typed:
            render.out(result_table(report, self.width, all_rows=self.all_rows))
        self._close(report)
        return report.exit_code if written else report.exit_code or 1

    def show_line(self, outcome: Outcome) -> None:
        """Show one outcome at once; an invalid line has explained itself already."""
        if not (self.as_json or self.quiet or outcome.status is Status.INVALID):
            render.out(result_line(outcome))

    def _close(self, report: Report) -> None:
        wrong = failures(report)
        if wrong:
            render.err(wrong if self.quiet else f"\n{wrong}\n")
        if report.failed or not self.quiet:
            render.err(summary(report))
        if report.all_skipped:
            logger.warning(_ALL_SKIPPED)
        if report.failed_list:
            # Validating again would change nothing.
            copies = report.command.removesuffix("-validate")
            run = "run again" if copies == report.command else f"run {copies}"
            left = report.failed_list
            render.err(f"What is left to do is in {left}: {run} with -f {left}")

    def show_plan(self, command: str, outlook: DryRunPlan) -> int:
        """Show what a run would do; 1 where a line is known to fail, 5 where one is put off."""
        document = outlook.to_json(command)
        written = self._write(document)
        if self.as_json:
            render.out_json(document)
        elif not self.quiet:
            render.out(plan_table(outlook, self.width))
        if outlook.all_skipped:
            logger.warning(_ALL_SKIPPED)
        return outlook.exit_code if written else 1

    def _write(self, document: Mapping[str, Any]) -> bool:
        if self.report is None:
            return True
        try:
            render.write_report(self.report, document)
        except OSError as error:
            logger.error("the report {} cannot be written: {}", self.report, error.strerror)
            return False
        return True


def standard_width(environ: Mapping[str, str]) -> int | None:
    """Return the columns for tables on standard output, None where it is no terminal."""
    return terminal_width(sys.stdout, environ) if is_terminal(sys.stdout) else None


_RESULT_COLUMNS = (
    Column("STATUS"),
    IMAGE,
    PLATFORMS,
    Column("DIGEST", least=_DIGEST_SHOWN + 1, keep_end=False),
    SIZE,
    Column("TIME", right=True),
)
_PLAN_COLUMNS = (
    Column("ACTION"),
    IMAGE,
    PLATFORMS,
    SIZE,
    Column("READS", right=True),
    Column("REASON", least=12),
)


def result_table(report: Report, width: int | None, *, all_rows: bool = False) -> str:
    """Return the outcomes of a run in list order, within `width` columns; None is no limit.

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
    """Return one outcome as one line, for results that come one by one."""
    row = [clean(cell).replace("\n", " ") for cell in _result_row(outcome) if cell]
    reason = " ".join(clean(outcome.reason).split()) if outcome.status is not Status.COPIED else ""
    return "  ".join(row) + (f": {reason}" if reason else "")


def summary(report: Report) -> str:
    """Return the counts of a run in one line, without statuses that did not occur."""
    counts = ", ".join(f"{n:,} {status.value}" for status, n in report.counts.items() if n)
    total = len(report.outcomes)
    images = f"{total:,} image{'' if total == 1 else 's'}"
    moved = f"{human_bytes(report.bytes_moved)} in {human_seconds(report.seconds)}"
    return f"{images}: {counts}; {moved}" if total else "nothing to do: no images"


def failures(report: Report) -> str:
    """Return what failed and why, one paragraph per line of the list; empty when nothing failed."""
    apart = {Status.UNSTARTED, Status.DEFERRED}
    wrong = (o for o in report.outcomes if o.status in UNFINISHED - apart)
    put_off = [o for o in report.outcomes if o.status is Status.DEFERRED]
    lines = [line for outcome in wrong for line in _failure(outcome)]
    return "\n".join([*lines, *_put_off(put_off)])


def _put_off(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield a line for each deferred image, twenty at most, and each advice once."""
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
    """Return the plan of a dry run, its totals, and a line per registry that counts pulls."""
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
