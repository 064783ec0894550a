"""The last stage: note durably how an image ended, so that the next run can skip it."""

from __future__ import annotations

from dataclasses import replace

from loguru import logger

from image_tools.oci.digest import Digest
from image_tools.report import Outcome
from image_tools.run.context import RunContext
from image_tools.run.job import Job
from image_tools.run.outcomes import kept_warning
from image_tools.state import Remembered


def remember(context: RunContext, job: Job, ended: Remembered) -> Remembered:
    """Note how this source ended, and return it with the dates of what was kept."""
    if context.state is None or context.options.dry_run:
        return ended
    entry, key = job.entry, context.options.state_key
    return context.state.remember(str(entry.source), str(entry.destination), key, ended)


def remember_copied(context: RunContext, job: Job, outcome: Outcome) -> Outcome:
    """Return the outcome of an image that was copied, with what its tag keeps unasked dated."""
    source, there = Digest.parse(outcome.source_digest), Digest.parse(outcome.digest)
    kept = remember(context, job, Remembered(source, there, kept=outcome.kept)).kept
    warnings = tuple(map(kept_warning, kept))
    for warning in warnings:
        logger.warning("{}: {}", job.entry.destination, warning)
    return replace(outcome, kept=kept, warnings=(*outcome.warnings, *warnings))
