"""The results of a run, image by image, and the documents that scripts rely on.

docs/report.schema.json is the schema of the JSON objects; the fields of a class that it describes
are in the order of the keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform

SCHEMA = 1
# The comment with which a line of a list asks for --depth tree.
DEPTH_MARK = "depth=tree"
_SIGNAL_BASE = 128
_DEFERRED_EXIT_CODE = 5


class Status(Enum):
    """How a line of the list ended; the values are the words of tables and reports."""

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
    """The action that a run would take for a line."""

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
class Kept:
    """An entry of the destination's index that was not chosen and that the source does not have.

    `since` is when a run first found it so, ISO 8601 in UTC; empty if that is not known.
    """

    platform: str
    digest: str
    since: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object; an unknown `since` is null."""
        return {**json_of(self), "since": self.since or None}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Kept:
        """Return the entry that `to_json` wrote. Raise KeyError or TypeError for another."""
        platform, digest = found["platform"], found["digest"]
        return cls(platform=platform, digest=digest, since=found.get("since") or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a line of the list.

    `number` counts the images of the list, `line` its lines; `source` and `destination` are the
    user's references. `digest_preserved` and `change` compare the digests, and are None if nothing
    was compared. `path` is how the destination was written, `kind` the stable word of a failure.
    `warnings` are sentences about an image that is there. `behind`: the fault may be behind an
    index that is correct.
    """

    number: int
    line: int
    raw: str
    source: str
    destination: str
    status: Status
    digest: str = ""
    source_digest: str = ""
    digest_preserved: bool | None = None
    change: Change | None = None
    platforms: tuple[str, ...] = ()
    kept: tuple[Kept, ...] = ()
    bytes_moved: int = 0
    seconds: float = 0.0
    path: str = ""
    reason: str = ""
    kind: str = ""
    advice: str = ""
    warnings: tuple[str, ...] = ()
    behind: bool = False

    @property
    def again(self) -> str:
        """Return the line for the failed list; it asks for --depth tree if that is needed."""
        asks = not self.behind or f"# {DEPTH_MARK}" in self.raw
        return self.raw if asks else f"{self.raw.rstrip()}  # {DEPTH_MARK}"

    @property
    def remark(self) -> str:
        """Return why this line is in the failed list; for a difference, also what to do.

        Content that a registry lost behind an index does not come back with the line alone.
        """
        reason = self.reason or self.status.value
        return f"{reason}; {self.advice}" if self.kind == "different" else reason

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of this outcome."""
        document = json_of(self)
        del document["behind"]
        change = self.change.value if self.change else ""
        return {**document, "change": change, "seconds": round(self.seconds, 3)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A run of a command, with its outcomes in the order of the list.

    `interrupted_by` is the signal that ended it, `failed_list` the file with the lines that are
    left. `unwritten`: the failed list could not be written.
    """

    command: str
    outcomes: tuple[Outcome, ...]
    seconds: float = 0.0
    interrupted_by: int | None = None
    failed_list: str = ""
    unwritten: bool = False

    @property
    def counts(self) -> Mapping[Status, int]:
        """Return how many outcomes have each status, in the order of the enum."""
        counts = dict.fromkeys(Status, 0)
        for outcome in self.outcomes:
            counts[outcome.status] += 1
        return counts

    @property
    def bytes_moved(self) -> int:
        """Return the bytes that all outcomes moved."""
        return sum(outcome.bytes_moved for outcome in self.outcomes)

    @property
    def exit_code(self) -> int:
        """Return 0, 1 (some failed or all skipped), 5 (only deferred), or 128 + signal number."""
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
        """Return whether every image was skipped: none has a wanted platform."""
        return {outcome.status for outcome in self.outcomes} == {Status.SKIPPED}

    @property
    def failed(self) -> tuple[tuple[str, str], ...]:
        """Return the lines of the failed list with their reasons, in list order."""
        return tuple(
            (outcome.again, outcome.remark)
            for outcome in self.outcomes
            if outcome.status in UNFINISHED
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object; `schema` grows when a key changes its meaning."""
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
    """Return one report of several runs, as interactive use makes them one after the other."""
    # Each run also writes the failed lines of the earlier ones.
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
    """The plan for one line; `manifest_gets` counts reads that pull limits count.

    `bytes_to_move` is None if it is not known before more manifests are read.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulls:
    """A registry that counts pulls: how many this run made, and how many are left.

    The registry allows `limit` of them in `window` seconds; None if the user set the limit.
    """

    registry: str
    spent: int
    left: int
    limit: int | None = None
    window: int | None = None


@dataclass(frozen=True, slots=True)
class DryRunPlan:
    """The result of a dry run: a row for each line, and the pulls that it made itself."""

    rows: tuple[PlanRow, ...]
    pulls: tuple[Pulls, ...] = ()

    @property
    def exit_code(self) -> int:
        """Return 1 if some line would fail or all be skipped, 5 if some be deferred, else 0."""
        actions = {row.action for row in self.rows}
        if actions & {PlanAction.FAIL, PlanAction.INVALID}:
            return 1
        if PlanAction.DEFER in actions:
            return _DEFERRED_EXIT_CODE
        return int(self.all_skipped)

    @property
    def all_skipped(self) -> bool:
        """Return whether a run would skip every image: none has a wanted platform."""
        return {row.action for row in self.rows} == {PlanAction.SKIP}

    def to_json(self, command: str) -> dict[str, Any]:
        """Return the plan as a JSON object; the total of bytes is what is known."""
        return {
            "schema": SCHEMA,
            "command": command,
            "dry_run": True,
            "exit_code": self.exit_code,
            "bytes_to_move": sum(row.bytes_to_move or 0 for row in self.rows),
            "manifest_gets": sum(row.manifest_gets for row in self.rows),
            "pulls": [json_of(pulls) for pulls in self.pulls],
            "rows": [json_of(row) for row in self.rows],
        }


def json_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass as JSON, in their order; what has no JSON is a text."""
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Digest | Path | Platform):
        return str(value)
    if isinstance(value, Kept):
        return value.to_json()
    return json_of(value) if is_dataclass(value) else value
