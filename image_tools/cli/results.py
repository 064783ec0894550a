"""How a run's results reach their readers: standard output, standard error, the report file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loguru import logger

from image_tools.cli import render
from image_tools.cli.tables import failures, plan_table, result_line, result_table, summary
from image_tools.cli.text import is_terminal, terminal_width
from image_tools.report import (
    DryRunPlan,
    Outcome,
    Report,
    Status,
    all_skipped,
    plan_exit_code,
    plan_to_json,
)

_ALL_SKIPPED = "every image was skipped: none has a platform you chose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Where and how results are shown; `width` None is no limit."""

    as_json: bool = False
    quiet: bool = False
    all_rows: bool = False
    width: int | None = None
    report: Path | None = None

    def show(self, report: Report, *, typed: bool = False) -> int:
        """Show a whole run; its exit code, or 1 where the report file cannot be written.

        `typed` is a run whose lines were shown one by one: there is no table.
        """
        # The file first: it is there even when nobody takes the rest.
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
        document = plan_to_json(command, outlook)
        written = self._write(document)
        if self.as_json:
            render.out_json(document)
        elif not self.quiet:
            render.out(plan_table(outlook, self.width))
        if all_skipped(outlook.rows):
            logger.warning(_ALL_SKIPPED)
        return plan_exit_code(outlook.rows) if written else 1

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
    """The columns for tables on standard output; None where no person reads it."""
    return terminal_width(sys.stdout, environ) if is_terminal(sys.stdout) else None
