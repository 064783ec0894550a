"""Copy the missing manifests of one image, with their blobs, to its destination."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from loguru import logger

from image_tools.errors import ManifestUnsupported, UnknownFailure
from image_tools.machine.concurrency import together
from image_tools.oci.digest import Digest
from image_tools.plan.copy_all import CopyAll, copy_all
from image_tools.plan.inputs import ChildManifest
from image_tools.plan.merge import select
from image_tools.plan.plan import Plan, plan
from image_tools.plan.referrers import split_referrers
from image_tools.run.context import TransferContext
from image_tools.run.job import Job
from image_tools.run.platforms import arch_tag, own_tag
from image_tools.run.transfer_job import TransferJob
from image_tools.tools.skopeo import cannot_keep


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """All children of `plan` are at the destination.

    `tagged` is the digest that the tag leads to if it was written with them, else None.
    """

    plan: Plan
    tagged: Digest | None = None


async def transfer(context: TransferContext, job: Job, task: TransferJob) -> Transferred:
    """Copy the children of `task`; the tag is written along where nothing has to come before it.

    Raise ImageToolsError for what prevented it.
    """
    if context.signer is not None:
        # A key that cannot sign is to be known before anything is moved.
        await context.signer.ready()
    await job.ensure_project()
    note_source_blobs(job, task.children)
    decided = task.plan if task.convert is None else await _converted(context, job, task)
    if decided.as_it_is:
        return await _as_it_is(context, job, task, decided)
    if await _go_together(context, job, task):
        return await _in_one_run(context, job, task)
    await copy_children(context, job, task)
    return Transferred(plan=decided)


def publishes_untagged(context: TransferContext, task: TransferJob, decided: Plan) -> bool:
    """Return whether the image must be there by its digest before its tag.

    That is so where something that speaks about this digest is to be there first.
    """
    if context.signer is not None:
        return True
    about, _ = split_referrers(task.referrers.referrers, task.source.digest)
    return bool(about) and keeps_source_index(task, decided)


def keeps_source_index(task: TransferJob, decided: Plan) -> bool:
    """Return whether the tag will lead to the source's own digest."""
    final = decided.final
    exact = final.exact if final is not None else None
    return exact is not None and exact.digest == task.source.digest


async def copy_children(
    context: TransferContext, job: Job, task: TransferJob, *, tagged: bool = False
) -> None:
    """Copy each child by its digest or by a tag of its own, or as the image's tag itself."""
    tags = [
        job.tag if tagged else own_tag(task.options, job, child.descriptor)
        for child in task.children
    ]
    await together(
        copy_child(context, job, child, number, tag)
        for number, (child, tag) in enumerate(zip(task.children, tags, strict=True), start=1)
    )


async def copy_child(
    context: TransferContext, job: Job, child: ChildManifest, number: int, tag: str | None = None
) -> None:
    """Copy one child, the `number`th of its image, to `tag` or by its digest."""
    where = child.descriptor.platform
    with logger.contextualize(img_id=number):
        key = f"{job.entry.number}.{number}"
        context.progress.begin(key, f"{job.entry.destination} {where}")
        try:
            logger.debug("copying {} of {}", where, job.entry.source)
            await context.copier.copy(job, child, f"@{child.digest}" if tag is None else f":{tag}")
        finally:
            context.progress.end(key)


def note_source_blobs(job: Job, children: Iterable[ChildManifest]) -> None:
    """Tell the ledger that blobs may be mounted from the source, if both are in one registry."""
    if job.mount_from is None:
        return
    for child in children:
        for blob in child.manifest.blobs:
            job.end.ledger.suppose(job.mount_from, blob.digest, blob.size)


async def tag_manifest(
    context: TransferContext, job: Job, task: TransferJob, decided: Plan
) -> None:
    """Let the tag lead to the image's own manifest, which is no index."""
    if task.convert is None:
        await copy_children(context, job, task, tagged=True)
        return
    # skopeo has pushed by digest what it converted, and the source has nothing to copy.
    raw = await context.reader.manifest(job.destination, decided.wanted[0].digest)
    reason = "the converted image states no platform, so that no index can lead to it"
    await context.copier.own.write(job, raw, f":{job.tag}", reason)


async def _as_it_is(
    context: TransferContext, job: Job, task: TransferJob, decided: Plan
) -> Transferred:
    """Copy a manifest that the tag is to lead to itself."""
    if any(own_tag(task.options, job, child.descriptor) for child in task.children):
        await copy_children(context, job, task)
    if publishes_untagged(context, task, decided):
        await copy_children(context, job, task)
        return Transferred(plan=decided)
    await tag_manifest(context, job, task, decided)
    return Transferred(plan=decided, tagged=decided.wanted[0].digest)


async def _go_together(context: TransferContext, job: Job, task: TransferJob) -> bool:
    several = len(task.children) > 1 and not task.options.arch_tags
    if not several or not context.copier.takes_several(job):
        return False
    return len(await context.copier.readable(task.children)) > 1


async def _in_one_run(context: TransferContext, job: Job, task: TransferJob) -> Transferred:
    """Copy all children with one run of skopeo, and the index too if it is the source's.

    Manifests that skopeo is known not to parse are written by our own client before.
    """
    count, key = len(task.children), f"{job.entry.number}.1"
    with logger.contextualize(img_id=1):
        context.progress.begin(key, f"{job.entry.destination} {count} platforms")
        try:
            await context.copier.place(job, task.children)
            readable = await context.copier.readable(task.children)
            others = [child for child in task.children if child not in readable]
            await together(context.copier.copy(job, one, f"@{one.digest}") for one in others)
            bundled = _bundled(context, task, readable)
            has_tag = await _copied_at_once(context, job, bundled)
        finally:
            context.progress.end(key)
    return Transferred(plan=task.plan, tagged=bundled.index.digest if has_tag else None)


def _bundled(
    context: TransferContext, task: TransferJob, children: tuple[ChildManifest, ...]
) -> CopyAll:
    # Referrers come before the tag.
    comes_before = bool(task.referrers.referrers) or context.signer is not None
    final = None if comes_before else task.plan.final
    image = None if final is None or task.plan.nested else final.exact
    entries = len({entry.digest for entry in final.entries}) if final is not None else 0
    return copy_all(children, image, entries)


async def _copied_at_once(context: TransferContext, job: Job, bundled: CopyAll) -> bool:
    """Copy what is in `bundled`; return whether that has written the tag too."""
    where = ", ".join(str(child.descriptor.platform) for child in bundled.children)
    logger.debug("copying {} of {} at once", where, job.entry.source)
    try:
        await context.copier.copy_several(job, bundled, job.tag)
    except ManifestUnsupported as error:
        # One of them is the reason: copied one by one, each shows whether it is.
        logger.debug("{}; copying one after the other", error)
        await together(context.copier.copy(job, one, f"@{one.digest}") for one in bundled.children)
        return False
    except UnknownFailure as error:
        if not cannot_keep(str(error)):
            raise
        # The children have arrived by then; the index takes another way.
        return False
    return bundled.is_image


async def _converted(context: TransferContext, job: Job, task: TransferJob) -> Plan:
    """Convert a schema 1 image at the destination; return the plan for what it has become."""
    assert task.convert is not None
    logger.warning(
        "{}: a Docker schema 1 image is converted to schema 2, its digest changes",
        job.entry.source,
    )
    tag = arch_tag(job.tag, task.convert) if task.options.arch_tags else None
    raw = await context.copier.convert(job, tag)
    image = await context.reader.source_image(job.destination, raw)
    wish = replace(task.wish, present=frozenset({raw.digest}))
    # Its platform was matched before: the config may spell it otherwise.
    wanted = select(image.leaves, task.options.selection) or image.leaves
    return plan(image, wanted, task.existing, wish)
