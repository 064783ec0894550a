"""Build the outcomes of list lines from what happened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from loguru import logger

from image_tools.errors import Deferred, Different, ImageToolsError
from image_tools.imagelist.entry import Entry, Problem
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.report import Change, Kept, Outcome, PlanAction, PlanRow, Pulls, Status
from image_tools.stores.remote.limits.meter import Meter

INTERRUPTED = "interrupted"


def outcome_of(entry: Entry, status: Status) -> Outcome:
    """Return a bare outcome of `entry`."""
    return Outcome(
        number=entry.number,
        line=entry.line,
        raw=entry.raw,
        source=str(entry.source),
        destination=str(entry.destination),
        status=status,
    )


def failed(entry: Entry, error: ImageToolsError) -> Outcome:
    """See `Mode`."""
    reason = str(error)
    if entry.source.name not in reason and entry.destination.name not in reason:
        reason = f"{entry.source}: {reason}"
    return replace(
        outcome_of(entry, Status.DEFERRED if isinstance(error, Deferred) else Status.FAILED),
        reason=reason,
        kind=error.kind,
        advice=error.advice,
        behind=isinstance(error, Different) and error.behind,
    )


def interrupted(entry: Entry, *, started: bool) -> Outcome:
    """Return the outcome of an entry that a signal ended, or kept from starting."""
    if started:
        broken = outcome_of(entry, Status.FAILED)
        return replace(broken, reason="interrupted while it was copied", kind=INTERRUPTED)
    return replace(outcome_of(entry, Status.UNSTARTED), reason="not started", kind=INTERRUPTED)


def invalid(problem: Problem) -> Outcome:
    """Return the outcome of a line that could not be read."""
    return Outcome(
        number=problem.number,
        line=problem.line,
        raw=problem.raw,
        source="",
        destination="",
        status=Status.INVALID,
        reason=problem.reason,
        kind="invalid-line",
    )


@dataclass(slots=True)
class OutcomeMode:
    """The common part of the modes whose result is an Outcome; failures are logged as they come."""

    def failed(self, entry: Entry, error: ImageToolsError) -> Outcome:
        """See `Mode`."""
        outcome = failed(entry, error)
        if isinstance(error, Deferred):
            logger.info("deferred: {}", outcome.reason)
        else:
            logger.error("{}", outcome.reason)
        return outcome

    def interrupted(self, entry: Entry, *, started: bool) -> Outcome:
        """Return the outcome of an entry that a signal ended, or kept from starting."""
        return interrupted(entry, started=started)

    def invalid(self, problem: Problem) -> Outcome:
        """Return the outcome of a line that could not be read."""
        return invalid(problem)

    def completed(self, result: Outcome, *, seconds: float, moved: int) -> Outcome:
        """See `Mode`."""
        return replace(result, seconds=seconds, bytes_moved=moved)

    def status(self, result: Outcome) -> Status:
        """See `Mode`."""
        return result.status


def plan_row(entry: Entry, action: PlanAction) -> PlanRow:
    """Return a bare row of a plan for `entry`."""
    return PlanRow(
        number=entry.number,
        source=str(entry.source),
        destination=str(entry.destination),
        action=action,
    )


def invalid_row(problem: Problem) -> PlanRow:
    """Return the row of a plan for a line that could not be read."""
    return PlanRow(
        number=problem.number,
        source=problem.raw.strip(),
        destination="",
        action=PlanAction.INVALID,
        reason=problem.reason,
    )


def pulls_of(meter: Meter) -> Pulls:
    """Return what a meter with a limit counted."""
    told = meter.window.told
    return Pulls(
        registry=meter.registry,
        spent=meter.window.spent,
        left=meter.available or 0,
        limit=None if told is None else told.limit,
        window=None if told is None else told.window,
    )


def change_of(media_type: str, source: Digest, destination: Digest) -> Change:
    """Return how the digest at the destination compares with that of a source of `media_type`."""
    if source == destination:
        return Change.SAME_DIGEST
    if media_type in media.SCHEMA1:
        return Change.CONVERTED
    return Change.FILTERED if media_type in media.INDEXES else Change.LIST_OF_ONE


def kept_of(entries: Iterable[Descriptor]) -> tuple[Kept, ...]:
    """Return entries that stay under a tag without being chosen, as a report tells them."""
    return tuple(Kept(platform=str(e.platform), digest=str(e.digest)) for e in entries)


def kept_warning(kept: Kept) -> str:
    """Return the sentence that warns about an entry that was kept."""
    return (
        f"the tag keeps {kept.platform} ({kept.digest}), which is not what the source has now and"
        " was not chosen: choose it with --arch and --os to update it, or use --overwrite to remove"
        " it"
    )


def platforms_of(entries: tuple[Descriptor, ...]) -> tuple[str, ...]:
    """Return the platforms of entries as text, each once, without attestations."""
    named = (str(entry.platform) for entry in entries if not entry.is_attestation)
    return tuple(dict.fromkeys(named))
