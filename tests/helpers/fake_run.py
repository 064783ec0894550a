"""A mirror run that moves nothing: the name of an image decides how it ends.

As a program (`python -m tests.helpers.fake_run ARGUMENTS`) it is the whole command line with this
run in the place of the real one.
"""

from __future__ import annotations

import fcntl
import os
import termios
import time
from dataclasses import replace
from types import TracebackType
from typing import NoReturn

from image_tools.__main__ import run
from image_tools.cli import list_runs
from image_tools.commands.request import ListRequest
from image_tools.commands.wiring import Surroundings
from image_tools.errors import ToolMissing
from image_tools.imagelist.entry import Entry, ImageList
from image_tools.report import (
    Change,
    DryRunPlan,
    Outcome,
    PlanAction,
    PlanRow,
    Report,
    Status,
    joined,
)

DIGEST = "sha256:" + "ab" * 32
PATIENCE = 30.0
_ENDS = {"failing": Status.FAILED, "same": Status.UNCHANGED, "skipped": Status.SKIPPED}


class FakeRun:
    """Stands for ListRun; `made` holds the ones that were opened, with what they were asked."""

    made: list[FakeRun] = []  # noqa: RUF012

    def __init__(
        self,
        request: ListRequest,
        surroundings: Surroundings,
    ) -> None:
        self.request = request
        self.lists: list[ImageList] = []
        self.is_open = False
        self._reports: list[Report] = []
        self._signal: int | None = None
        self._stopped = False

    def __enter__(self) -> FakeRun:
        self.made.append(self)
        self.is_open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.is_open = False

    def run(self, images: ImageList) -> Report:
        """Outcomes by name: bug, toolless, slow, failing, same, skipped; all others are copied."""
        self.lists.append(images)
        outcomes = [self._outcome(entry) for entry in images.entries]
        outcomes += [
            Outcome(
                number=problem.number,
                line=problem.line,
                raw=problem.raw,
                source="",
                destination="",
                status=Status.INVALID,
                reason=problem.reason,
            )
            for problem in images.problems
        ]
        outcomes.sort(key=lambda outcome: outcome.number)
        report = Report(
            command="mirror", outcomes=tuple(outcomes), seconds=1.5, interrupted_by=self._signal
        )
        if self.request.failed is not None and joined("mirror", [*self._reports, report]).failed:
            report = replace(report, failed_list=str(self.request.failed))
        self._reports.append(report)
        self._write_failed()
        return report

    def plan(self, images: ImageList) -> DryRunPlan:
        """A copy of 5 MB for every entry, a failure for the failing ones."""
        self.lists.append(images)
        rows = tuple(
            PlanRow(
                number=entry.number,
                source=str(entry.source),
                destination=str(entry.destination),
                action=_action(entry.raw),
                platforms=("linux/amd64",),
                bytes_to_move=5_000_000,
                manifest_gets=2,
            )
            for entry in images.entries
        )
        return DryRunPlan(rows)

    def cancel(self, signal_number: int) -> None:
        """Let a slow image end."""
        if "IMAGE_TOOLS_TEST_STUBBORN" not in os.environ:
            self._signal = signal_number
            self._stopped = True

    def abandon(self, signal_number: int) -> NoReturn:
        """End the process at once."""
        os._exit(128 + signal_number)

    def _outcome(self, entry: Entry) -> Outcome:
        path = entry.source.repository
        if "bug" in path:
            raise RuntimeError("a list ended too early, password hunter22")
        if "toolless" in path:
            raise ToolMissing("skopeo is not installed", advice="install it")
        if "slow" in path:
            os.write(2, b"COPYING\n")
            # No Event: a handler that sets one may interrupt the very wait that holds its lock.
            deadline = time.monotonic() + PATIENCE
            while not self._stopped and time.monotonic() < deadline:
                time.sleep(0.01)
        status = next((status for word, status in _ENDS.items() if word in path), Status.COPIED)
        reason = "manifest unknown" if status is Status.FAILED else ""
        if self._signal is not None:
            status, reason = Status.UNSTARTED, "the run was interrupted"
        done = status is Status.COPIED
        return Outcome(
            number=entry.number,
            line=entry.line,
            raw=entry.raw,
            source=str(entry.source),
            destination=str(entry.destination),
            status=status,
            digest=DIGEST if done else "",
            platforms=("linux/amd64", "linux/arm64") if done else (),
            bytes_moved=12_300_000 if done else 0,
            seconds=1.5 if done else 0.0,
            digest_preserved=True if done else None,
            change=Change.SAME_DIGEST if done else None,
            reason=reason,
            advice="check the spelling" if status is Status.FAILED else "",
        )

    def _write_failed(self) -> None:
        if self.request.failed is not None:
            failed = joined("mirror", self._reports).failed
            self.request.failed.write_text("".join(f"{raw}\n" for raw, _ in failed))
            if not failed:
                self.request.failed.unlink()


def _action(raw: str) -> PlanAction:
    if "skipped" in raw:
        return PlanAction.SKIP
    return PlanAction.FAIL if "failing" in raw else PlanAction.COPY


def program() -> NoReturn:
    """The command line with the fake run, as the leader of its terminal."""
    if os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    setattr(list_runs, "ListRun", FakeRun)  # noqa: B010 (mypy: no such export)
    run()


if __name__ == "__main__":
    program()
