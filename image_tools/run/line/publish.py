"""Publish an image whose children are at the destination: its referrers first, then its tag."""

from __future__ import annotations

from dataclasses import dataclass

from loguru import logger

from image_tools.errors import AccessDenied, InvalidManifest, NotFound, UnknownFailure
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, parse
from image_tools.oci.tree import Fault
from image_tools.plan.plan import Action, Plan
from image_tools.plan.referrers import split_referrers
from image_tools.run.context import TransferContext
from image_tools.run.job import Job
from image_tools.run.line.transfer import (
    Transferred,
    keeps_source_index,
    publishes_untagged,
    tag_manifest,
)
from image_tools.run.tools.assembler import WrittenIndex
from image_tools.run.transfer_job import TransferJob

COPY = "copy"
_REFUSALS = (AccessDenied, InvalidManifest, NotFound, UnknownFailure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The tag was written: it is to lead to `digest`; `path` says how it was assembled.

    `has_source_index`: the digest that the source's signatures speak about is there too.
    `warnings` were logged.
    """

    plan: Plan
    digest: Digest
    path: str
    has_source_index: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Referrers:
    """The referrers that were published with an image."""

    has_source_index: bool
    warnings: tuple[str, ...]


async def publish(
    context: TransferContext, job: Job, task: TransferJob, done: Transferred
) -> Published:
    """Write the tag after the referrers, so that the image is never visible unsigned.

    Raise ImageToolsError for what prevented it; the tag is as it was then.
    """
    if not publishes_untagged(context, task, done.plan):
        brought = await _publish_referrers(context, job, task, done.plan, None)
        written = await _written(context, job, task, done, tagged=True)
    else:
        written = await _written(context, job, task, done, tagged=False)
        brought = await _publish_referrers(context, job, task, done.plan, written.digest)
        await _write_tag(context, job, task, done.plan, written)
    return Published(
        plan=done.plan,
        digest=written.digest,
        path=written.path,
        has_source_index=brought.has_source_index,
        warnings=(*_logged(job, *task.referrers.warnings), *brought.warnings),
    )


async def _written(
    context: TransferContext, job: Job, task: TransferJob, done: Transferred, *, tagged: bool
) -> WrittenIndex:
    """Write the index under the tag or by its digest alone, unless it is there."""
    decided = done.plan
    if done.tagged is not None:
        return WrittenIndex(done.tagged, COPY)
    if decided.as_it_is:
        return WrittenIndex(decided.wanted[0].digest, COPY)
    if decided.action is Action.UNCHANGED and task.existing is not None:
        return WrittenIndex(task.existing.top.digest, "")
    assert decided.final is not None
    key = f"{job.entry.number}.0"
    context.progress.begin(key, f"{job.entry.destination} list")
    try:
        tag = job.tag if tagged else None
        return await context.assembler.publish(job, decided.final, decided.nested, tag)
    finally:
        context.progress.end(key)


async def _write_tag(
    context: TransferContext, job: Job, task: TransferJob, decided: Plan, written: WrittenIndex
) -> None:
    """Let the tag lead to what is there by its digest."""
    if decided.as_it_is:
        await tag_manifest(context, job, task, decided)
    elif written.path:
        raw = await context.reader.manifest(job.destination, written.digest)
        await context.assembler.exactly(job, raw, job.tag)


async def _publish_referrers(
    context: TransferContext, job: Job, task: TransferJob, decided: Plan, digest: Digest | None
) -> _Referrers:
    """Publish the referrers of the image; `digest` is its own if it is there already."""
    is_preserved, source = keeps_source_index(task, decided), task.source.digest
    warnings: list[str] = []
    is_kept = not is_preserved and await _keep_source_index(context, job, task, warnings)
    platforms = {entry.digest for entry in decided.wanted}
    is_there = is_kept or is_preserved or source in platforms
    going = task.referrers.referrers
    if not is_there:
        _, going = split_referrers(going, source)
    if context.referrers is not None and going:
        warnings += _logged(job, *await context.referrers.bring(job, going))
    if context.signer is not None:
        signed = [entry.digest for entry in decided.wanted if not entry.is_attestation]
        await context.signer.sign(job, [*signed, *([digest] if digest else [])])
    return _Referrers(is_there, tuple(warnings))


async def _keep_source_index(
    context: TransferContext, job: Job, task: TransferJob, warnings: list[str]
) -> bool:
    """Return whether the source's own index is there by its digest, as `--keep-digest` asks."""
    if not task.options.keep_digest:
        return False
    digest = task.source.digest
    try:
        return await _push_index(context, job, digest)
    except _REFUSALS as error:
        warnings += _logged(
            job,
            f"the registry does not take the source's {digest} beside the tag:"
            f" {error}. Most want every platform of an index; copy all of them"
            " (--arch all --os all), or give up on that digest",
        )
        return False


async def _push_index(context: TransferContext, job: Job, digest: Digest) -> bool:
    """Push an index as the source has it, without a tag; return False if it is no index."""
    raw = await context.reader.manifest(job.source, digest)
    if not isinstance(parse(raw), Index):
        return False
    tree = (await context.reader.tree(job.source, raw)).checked(Fault.MISSTATED)
    for index in (*tree.nested, raw):
        await context.assembler.exactly(job, index, None)
    return True


def _logged(job: Job, *texts: str) -> tuple[str, ...]:
    found = tuple(filter(None, texts))
    for text in found:
        logger.warning("{}: {}", job.entry.destination, text)
    return found
