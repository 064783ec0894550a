"""What a run did, image by image, and the views of it that scripts rely on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

SCHEMA = 1
# A comment of an image list that `imagelist/` reads.
LOOK_BEHIND = "# depth=tree"
_SIGNAL_BASE = 128
_DEFERRED_EXIT_CODE = 5


class Status(Enum):
    """How one line of the list ended; the values are the words of tables and reports."""

    COPIED = "copied"
    UNCHANGED = "unchanged"
    PASSED = "passed"
    SKIPPED = "skipped"
    FAILED = "failed"
    INVALID = "invalid"
    DEFERRED = "deferred"
    UNSTARTED = "unstarted"


BROKEN = frozenset({Status.FAILED, Status.INVALID})
UNFINISHED = BROKEN | {Status.DEFERRED, Status.UNSTARTED}


class PlanAction(Enum):
    """What a run would do with one line."""

    COPY = "copy"
    UNCHANGED = "unchanged"
    SKIP = "skip"
    DEFER = "defer"
    FAIL = "fail"
    INVALID = "invalid"


class Change(Enum):
    """How the destination's digest compares with the source's; the values are words of tables."""

    SAME_DIGEST = "same digest"
    FILTERED = "filtered"
    LIST_OF_ONE = "list of one"
    CONVERTED = "converted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one list line.

    `number` counts the entries of the list, `line` is the line in the file; `source` and
    `destination` are the user's references; `path` says how the destination was assembled;
    `digest_preserved` is None where nothing was compared, and `change` says the same in words;
    `kept` are entries from an earlier release or from others; `kind` is the failure's stable word;
    `behind`: what is wrong may lie behind an index that is as it should be;
    `warnings` are sentences about an image that is there, such as a signature that is not.
    """

    number: int
    line: int
    raw: str
    source: str
    destination: str
    status: Status
    digest: str = ""
    source_digest: str = ""
    platforms: tuple[str, ...] = ()
    bytes_moved: int = 0
    seconds: float = 0.0
    digest_preserved: bool | None = None
    path: str = ""
    reason: str = ""
    kind: str = ""
    advice: str = ""
    warnings: tuple[str, ...] = ()
    change: Change | None = None
    kept: tuple[Kept, ...] = ()
    behind: bool = False

    @property
    def again(self) -> str:
        """The line as it is to be fed in again: it tells where to look behind an unchanged tag."""
        asks = not self.behind or LOOK_BEHIND in self.raw
        return self.raw if asks else f"{self.raw.rstrip()}  {LOOK_BEHIND}"

    @property
    def remark(self) -> str:
        """Why this line is to be fed in again; of a difference also what to do with it.

        What a registry has lost behind an index does not come back by feeding the line in alone.
        """
        reason = self.reason or self.status.value
        return f"{reason}; {self.advice}" if self.kind == "different" else reason

    def to_json(self) -> dict[str, Any]:
        """This outcome as a JSON object; the keys are part of the report's schema."""
        return {
            "number": self.number,
            "line": self.line,
            "raw": self.raw,
            "source": self.source,
            "destination": self.destination,
            "status": self.status.value,
            "digest": self.digest,
            "source_digest": self.source_digest,
            "digest_preserved": self.digest_preserved,
            "change": self.change.value if self.change else "",
            "platforms": list(self.platforms),
            "kept": [kept.to_json() for kept in self.kept],
            "bytes_moved": self.bytes_moved,
            "seconds": round(self.seconds, 3),
            "path": self.path,
            "reason": self.reason,
            "kind": self.kind,
            "advice": self.advice,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run of a command: outcomes in list order, its seconds, the signal that ended it.

    `failed_list` is the file with the lines that are left, `unwritten`: it could not be.
    """

    command: str
    outcomes: tuple[Outcome, ...]
    seconds: float = 0.0
    interrupted_by: int | None = None
    failed_list: str = ""
    unwritten: bool = False

    @property
    def counts(self) -> Mapping[Status, int]:
        """How many outcomes have each status, all statuses in the order of the enum."""
        counts = dict.fromkeys(Status, 0)
        for outcome in self.outcomes:
            counts[outcome.status] += 1
        return counts

    @property
    def bytes_moved(self) -> int:
        """The bytes all outcomes moved together."""
        return sum(outcome.bytes_moved for outcome in self.outcomes)

    @property
    def exit_code(self) -> int:
        """0 all well, 1 some failed or all were skipped, 5 only deferred, 128 + signal number."""
        if self.interrupted_by is not None:
            return _SIGNAL_BASE + self.interrupted_by
        statuses = {outcome.status for outcome in self.outcomes}
        if statuses & (BROKEN | {Status.UNSTARTED}):
            return 1
        if Status.DEFERRED in statuses:
            return _DEFERRED_EXIT_CODE
        return int(self.all_skipped or self.unwritten)

    @property
    def all_skipped(self) -> bool:
        """Whether nothing was done, since no image has a wanted platform."""
        return {outcome.status for outcome in self.outcomes} == {Status.SKIPPED}

    @property
    def failed(self) -> tuple[tuple[str, str], ...]:
        """The lines worth feeding in again, as (original line, reason), in list order."""
        return tuple(
            (outcome.again, outcome.remark)
            for outcome in self.outcomes
            if outcome.status in UNFINISHED
        )

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object; `schema` grows when a key changes its meaning."""
        return {
            "schema": SCHEMA,
            "command": self.command,
            "exit_code": self.exit_code,
            "interrupted_by": self.interrupted_by,
            "seconds": round(self.seconds, 3),
            "bytes_moved": self.bytes_moved,
            "failed_list": self.failed_list or None,
            "counts": {status.value: count for status, count in self.counts.items()},
            "outcomes": [outcome.to_json() for outcome in self.outcomes],
        }


def joined(command: str, reports: Sequence[Report]) -> Report:
    """One report of several runs made one after the other, as interactive use makes them."""
    # Each run writes the lines of those before it, too.
    last = next((r for r in reversed(reports) if r.outcomes), None)
    signals = [r.interrupted_by for r in reports if r.interrupted_by is not None]
    return Report(
        command=command,
        outcomes=tuple(outcome for report in reports for outcome in report.outcomes),
        seconds=sum(report.seconds for report in reports),
        interrupted_by=signals[0] if signals else None,
        failed_list=last.failed_list if last else "",
        unwritten=last.unwritten if last else False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """What a run would do with one line; `manifest_gets` counts reads that registries bill.

    `bytes_to_move` is None where nobody knows before more of them are made.
    """

    number: int
    source: str
    destination: str
    action: PlanAction
    platforms: tuple[str, ...] = ()
    bytes_to_move: int | None = 0
    manifest_gets: int = 0
    reason: str = ""
    kept: tuple[Kept, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """This row as a JSON object."""
        return {
            "number": self.number,
            "source": self.source,
            "destination": self.destination,
            "action": self.action.value,
            "platforms": list(self.platforms),
            "bytes_to_move": self.bytes_to_move,
            "manifest_gets": self.manifest_gets,
            "reason": self.reason,
            "kept": [kept.to_json() for kept in self.kept],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulls:
    """A registry that counts pulls: how many this run made, and how many are left.

    `limit` of them in `window` seconds, None where the limit is the user's own.
    """

    registry: str
    spent: int
    left: int
    limit: int | None = None
    window: int | None = None

    def to_json(self) -> dict[str, Any]:
        """This as a JSON object."""
        return {
            "registry": self.registry,
            "spent": self.spent,
            "left": self.left,
            "limit": self.limit,
            "window": self.window,
        }


@dataclass(frozen=True, slots=True)
class DryRunPlan:
    """What a dry run found: a row for each line, and what it spent itself where that counts."""

    rows: tuple[PlanRow, ...]
    pulls: tuple[Pulls, ...] = ()


def plan_to_json(command: str, outlook: DryRunPlan) -> dict[str, Any]:
    """The plan of a dry run as a JSON object, with totals; bytes as far as they are known."""
    rows = outlook.rows
    return {
        "schema": SCHEMA,
        "command": command,
        "dry_run": True,
        "exit_code": plan_exit_code(rows),
        "bytes_to_move": sum(row.bytes_to_move or 0 for row in rows),
        "manifest_gets": sum(row.manifest_gets for row in rows),
        "pulls": [pulls.to_json() for pulls in outlook.pulls],
        "rows": [row.to_json() for row in rows],
    }


def plan_exit_code(rows: Collection[PlanRow]) -> int:
    """1 where the run is already known to fail for some line or to skip all, 5 to put some off."""
    actions = {row.action for row in rows}
    if actions & {PlanAction.FAIL, PlanAction.INVALID}:
        return 1
    if PlanAction.DEFER in actions:
        return _DEFERRED_EXIT_CODE
    return int(all_skipped(rows))


def all_skipped(rows: Iterable[PlanRow]) -> bool:
    """Whether a run would do nothing, since no image has a wanted platform."""
    return {row.action for row in rows} == {PlanAction.SKIP}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An entry of the destination's index that the run did not choose and the source has not now.

    `since` is when a run first found it so, ISO 8601 in UTC; empty where that is not known.
    """

    platform: str
    digest: str
    since: str = ""

    def to_json(self) -> dict[str, Any]:
        """This entry as a JSON object; an unknown `since` is null."""
        return {"platform": self.platform, "digest": self.digest, "since": self.since or None}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Kept:
        """Return the entry that `to_json` wrote; KeyError or TypeError when it did not."""
        platform, digest = fields["platform"], fields["digest"]
        return cls(platform=platform, digest=digest, since=fields.get("since") or "")
