"""Confirm a published image: read its tag back. Only then is it called copied."""

from __future__ import annotations

from dataclasses import replace

from loguru import logger

from image_tools.errors import CopyFailed, ImageToolsError, IntegrityError
from image_tools.oci.digest import Digest
from image_tools.plan.referrers import split_referrers, uncovered
from image_tools.report import Outcome, Status
from image_tools.retry import RetryPolicy, repeat_async
from image_tools.run.context import TransferContext
from image_tools.run.hidden_tag import POLICIES, is_not_shown
from image_tools.run.job import Job
from image_tools.run.line.publish import Published
from image_tools.run.outcomes import change_of, outcome_of, platforms_of
from image_tools.run.platforms import kept_entries
from image_tools.run.tools.own_client import OWN_CLIENT
from image_tools.run.transfer_job import TransferJob


async def confirm(
    context: TransferContext, job: Job, task: TransferJob, published: Published
) -> Outcome:
    """Return the outcome `copied` once the tag leads to what was published.

    Raise IntegrityError if it leads to something else.
    """
    hidden = await read_back(task.options.retry, job, published.digest)
    source, decided = task.source, published.plan
    for entry in decided.removed:
        where = f"{entry.platform} ({entry.digest})"
        logger.info("{}: removed {} from the tag", job.entry.destination, where)
    said = (*published.warnings, *_uncovered(context, job, task, published))
    return replace(
        outcome_of(job.entry, Status.COPIED),
        digest=str(published.digest),
        source_digest=str(source.digest),
        digest_preserved=published.digest == source.digest,
        platforms=platforms_of(decided.wanted),
        path=OWN_CLIENT if job.by_own_client else published.path,
        warnings=(*said, *task.warnings, *job.warnings, *hidden),
        change=change_of(source.media_type, source.digest, published.digest),
        kept=kept_entries(task.options, context.endpoints, decided),
    )


def _uncovered(
    context: TransferContext, job: Job, task: TransferJob, published: Published
) -> tuple[str, ...]:
    """Return a warning, logged, if the source's signatures do not cover what was published."""
    source = task.source.digest
    if published.digest == source or context.signer is not None:
        return ()
    about, _ = split_referrers(task.referrers.referrers, source)
    kept, asked = published.has_source_index, task.options.keep_digest
    text = uncovered(about, published.digest, kept=kept, asked=asked)
    if not text:
        return ()
    logger.warning("{}: {}", job.entry.destination, text)
    return (text,)


async def read_back(policy: RetryPolicy, job: Job, expected: Digest) -> tuple[str, ...]:
    """Return warnings once the tag shows `expected`; raise IntegrityError if it does not."""
    return await repeat_async(policy, lambda: _look_back(job, expected))


async def _look_back(job: Job, expected: Digest) -> tuple[str, ...]:
    store, name = job.destination.store, job.destination.name
    try:
        head = await store.manifest_head(name, job.tag)
    except CopyFailed as refusal:
        if not is_not_shown(refusal):
            raise
        return (await _accepted(job, expected, refusal),)
    if head is None or head.digest != expected:
        found = "nothing" if head is None else str(head.digest)
        error = IntegrityError(
            f"{job.entry.destination}: {expected} was written, but the registry shows {found}",
            advice="somebody else may write this tag; run again",
        )
        # A registry of several servers may take a moment to agree with itself.
        error.temporary = True
        raise error
    return ()


async def _accepted(job: Job, expected: Digest, refusal: CopyFailed) -> str:
    """Return the warning that the registry took the tag and does not show it.

    A policy hides what it has not scanned yet. Without one at least the manifest has to be there.
    """
    said = f"pushed {expected}, but the registry does not show the tag ({refusal})"
    if await _is_unlisted(job):
        error = IntegrityError(f"{job.entry.destination}: {said}, and does not list it")
        error.temporary = True
        raise error
    if refusal.status not in POLICIES and not await _is_there(job, expected):
        raise IntegrityError(f"{job.entry.destination}: {said}", advice=refusal.advice)
    logger.warning("{}: {}", job.entry.destination, said)
    return said


async def _is_unlisted(job: Job) -> bool:
    """Return whether the registry lists its tags without this one."""
    try:
        return job.tag not in await job.destination.store.tags(job.destination.name)
    except ImageToolsError as error:
        logger.debug("{}", error)
        return False


async def _is_there(job: Job, expected: Digest) -> bool:
    try:
        head = await job.destination.store.manifest_head(job.destination.name, expected)
    except CopyFailed as error:
        if not is_not_shown(error):
            raise
        return False
    return head is not None
