"""Decide what one image needs; ask the destination only for what the decision depends on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from loguru import logger

from image_tools.errors import CopyFailed, InvalidManifest, NotFound
from image_tools.exchange.presence import FAILS_ON_IT
from image_tools.machine.concurrency import together
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.plan.inputs import DestinationImage, PlanOptions, SourceImage
from image_tools.plan.merge import select
from image_tools.plan.plan import Action, Plan, plan
from image_tools.plan.referrers import FoundReferrers, subjects
from image_tools.report import Outcome
from image_tools.run.behind import looks_behind
from image_tools.run.context import RunContext
from image_tools.run.hidden_tag import is_not_shown
from image_tools.run.job import Job
from image_tools.run.line.probe import is_broken, skipped, unchanged
from image_tools.run.line.read import ReadImage
from image_tools.run.line.remember import remember
from image_tools.run.outcomes import platforms_of
from image_tools.run.platforms import check_required, chosen, kept_entries, own_tag, wish_of
from image_tools.run.tools.signer import is_signed
from image_tools.run.transfer_job import TransferJob
from image_tools.state import Remembered
from image_tools.stores.remote.limits.meter import cover, is_limited, split_share
from image_tools.stores.store import ManifestHead


async def plan_image(context: RunContext, job: Job, read: ReadImage) -> TransferJob | Outcome:
    """Return what has to be copied for `job`, or its outcome if nothing has.

    Raise PlatformMissing where a missing platform is a failure.
    """
    if read.image is None:
        return _conversion(context, job, read)
    image = read.image
    if not image.artifact:
        check_required(context, job, image.leaves)
    wanted = select(image.leaves, context.options.selection)
    wish = wish_of(context, job, read.broken)
    first = plan(image, wanted, read.existing, wish)
    if first.action is Action.UNCHANGED and await _is_incomplete(context, job, read):
        wish = replace(wish, force=True)
        first = plan(image, wanted, read.existing, wish)
    if first.action is Action.SKIP:
        return _passed_over(context, job, read)
    _refuse_unreadable(job, image, read.existing, wish)
    if first.action is Action.UNCHANGED:
        return _as_wanted(context, job, read, first)
    present = await _present(context, job, read, first)
    decided = plan(image, wanted, read.existing, replace(wish, present=present))
    _warn_of_lost(job, decided, read.existing, read.broken)
    return await _with_children(context, job, read, decided)


def _conversion(context: RunContext, job: Job, read: ReadImage) -> TransferJob | Outcome:
    """Return the job of a schema 1 image: what it becomes is planned when it is converted."""
    check_required(context, job, read.leaves)
    if not select(read.leaves, context.options.selection):
        return _passed_over(context, job, read)
    options = context.options
    wish = PlanOptions(
        selection=chosen(context, job), overwrite=options.overwrite, force=options.force
    )
    return replace(_bare(context, job, read), convert=read.converts, wish=wish)


async def _with_children(
    context: RunContext, job: Job, read: ReadImage, decided: Plan
) -> TransferJob:
    """Return the job with the missing manifests.

    If a registry counts pulls, the referrers are read now too, so that an image is copied in full
    or not started; a dry run reads neither. Otherwise they are looked up when it is the image's
    turn, so that no transfer waits for the look-ups of a whole list.
    """
    task = replace(_bare(context, job, read), plan=decided)
    if is_limited():
        if context.options.dry_run:
            return task
        task = await with_referrers(context, job, task)
        await _cover(context, job, decided.copies, task.referrers)
    child = context.reader.child
    children = await together(child(job.source, one) for one in decided.copies)
    return replace(task, children=tuple(children))


async def with_referrers(context: RunContext, job: Job, task: TransferJob) -> TransferJob:
    """Return `task` with the referrers of its image, which are looked up once."""
    if context.referrers is None or task.knows_referrers:
        return task
    found = await context.referrers.find(job, subjects(task.source.digest, task.plan))
    return replace(task, referrers=found, knows_referrers=True)


def _bare(context: RunContext, job: Job, read: ReadImage) -> TransferJob:
    return TransferJob(
        entry=job.entry,
        options=context.options,
        source=read.source,
        existing=read.existing,
        mount_from=job.mount_from,
        changes_tag=read.destination is not None,
        warnings=tuple(job.warnings),
    )


async def _present(
    context: RunContext, job: Job, read: ReadImage, first: Plan
) -> frozenset[Digest]:
    """Return which children need not be copied."""
    existing = read.existing
    is_readable = existing is None or existing.top.digest not in read.broken
    if not is_readable or first.as_it_is or context.options.force:
        return frozenset()
    present = await present_children(context, job, first.copies) - read.broken
    if not looks_behind(context.options, job):
        return present
    # Looking behind the tag, all that the children lead to has to be there, too.
    lost = await together(context.behind.broken(job, digest) for digest in present)
    return present.difference(*lost)


def _as_wanted(context: RunContext, job: Job, read: ReadImage, decided: Plan) -> Outcome:
    """Return the outcome of an image whose index, which was read, is as it should be."""
    assert read.existing is not None
    source, there = read.source, read.existing.top.digest
    ended = Remembered(
        source.digest, there, kept=kept_entries(context.options, context.endpoints, decided)
    )
    kept = remember(context, job, ended).kept
    outcome = unchanged(job, source, there, kept=kept)
    return replace(outcome, platforms=platforms_of(decided.wanted))


def _passed_over(context: RunContext, job: Job, read: ReadImage) -> Outcome:
    """Return the outcome of an image without wanted platforms; the next run knows it by its head.

    Raise PlatformMissing where that is a failure.
    """
    offered = platforms_of(read.leaves)
    remember(context, job, Remembered(read.source.digest, None, offered))
    return skipped(context, job, offered)


async def _is_incomplete(context: RunContext, job: Job, read: ReadImage) -> bool:
    """Return whether something wanted is missing although the index is as wanted."""
    assert read.existing is not None
    digest, source, options = read.existing.top.digest, read.source.digest, context.options
    if await is_broken(job, digest):
        return True
    if options.key_id and not await is_signed(context.reader, job, digest):
        return True
    if not options.keep_digest or digest == source:
        return False
    return await job.destination.store.manifest_head(job.destination.name, source) is None


async def _cover(
    context: RunContext, job: Job, copies: tuple[Descriptor, ...], found: FoundReferrers
) -> None:
    """Make sure of all pulls the image still needs, and make those for its referrers."""
    referrers = {one.descriptor.digest for one in found.referrers}
    # A skopeo that reads by itself reads the children once more.
    again = len(copies) if context.reads_directly(job.entry.source) else 0
    wanted = referrers | {one.digest for one in copies}
    cover(sum(context.reader.known(digest) is None for digest in wanted) + again)
    job.hold(split_share(again))
    await together(_read_ahead(context, job, digest) for digest in referrers)


async def _read_ahead(context: RunContext, job: Job, digest: Digest) -> None:
    """Read a referrer of the image; if it is missing, its copying says so."""
    with suppress(NotFound):
        await context.reader.manifest(job.source, digest)


async def present_children(
    context: RunContext, job: Job, copies: tuple[Descriptor, ...]
) -> frozenset[Digest]:
    """Return which of `copies` lie in the destination repository already: a HEAD of each."""
    heads = await together(_head_of(context, job, copy) for copy in copies)
    return frozenset(
        copy.digest
        for copy, head in zip(copies, heads, strict=True)
        if head is not None and head.digest == copy.digest
    )


async def _head_of(context: RunContext, job: Job, copy: Descriptor) -> ManifestHead | None:
    place = own_tag(context.options, job, copy) or copy.digest
    try:
        return await job.destination.store.manifest_head(job.destination.name, place)
    except CopyFailed as error:
        if error.status != FAILS_ON_IT and not is_not_shown(error):
            raise
        if error.status == FAILS_ON_IT and isinstance(place, str):
            raise
        logger.warning("{}; treating it as missing", error)
        job.end.ledger.forget(job.destination.name, copy.digest)
        return None


def _refuse_unreadable(
    job: Job, image: SourceImage, existing: DestinationImage | None, wish: PlanOptions
) -> None:
    """Raise InvalidManifest where an entry under the tag is unreadable and might have to stay.

    One that a look behind the tag has found lost, or that the source has, does not have to.
    """
    if existing is None or wish.overwrite or wish.selection.is_everything:
        return
    known = wish.lost | {raw.digest for raw in image.nested} | {e.digest for e in image.leaves}
    for entry in existing.lost:
        if entry.digest not in known:
            raise InvalidManifest(
                f"{job.entry.destination}: what lies there cannot be merged with: {entry.digest}"
                " cannot be read",
                advice="replace all of it with --overwrite, or what is lost with --depth tree",
            )


def _warn_of_lost(
    job: Job, decided: Plan, existing: DestinationImage | None, broken: frozenset[Digest]
) -> None:
    """Warn about entries that leave the tag since their content is gone at the destination."""
    lost = [entry for entry in decided.removed if entry.digest in broken]
    if existing is not None:
        brought = {raw.digest for raw in decided.nested} | {one.digest for one in decided.wanted}
        lost += [entry for entry in existing.lost if entry.digest not in brought]
    for entry in lost:
        job.warn(
            f"removed {entry.platform} ({entry.digest}) from {job.entry.destination}: its content"
            " is gone there, and this run does not copy it"
        )
