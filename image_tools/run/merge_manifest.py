"""One index out of several sources, by the same plan and the same tools as a mirrored image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loguru import logger

from image_tools.errors import InvalidManifest, NotFound
from image_tools.machine.concurrency import together
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest, Schema1, index_bytes, parse
from image_tools.plan.inputs import DestinationImage, PlanOptions
from image_tools.plan.merge_manifest import CombinedImage, CombinedSource, combine
from image_tools.plan.plan import Action, FinalIndex, Plan, plan
from image_tools.run.context import RunContext
from image_tools.run.job import Job
from image_tools.run.line.confirm import read_back
from image_tools.run.line.plan import present_children
from image_tools.run.line.read import read_top
from image_tools.run.line.transfer import copy_child, note_source_blobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The index there is in the end, or would be; `changed` unless it was there before.

    `copied` are the children that had, or would have, to be copied for it.
    """

    index: RawManifest
    changed: bool = True
    copied: tuple[Digest, ...] = ()


async def merge_images(
    context: RunContext, jobs: Sequence[Job], *, overwrite: bool = False, dry_run: bool = False
) -> Merged:
    """Publish the index of the sources of all `jobs`, which have one destination; return it.

    It replaces what the destination's tag leads to. Raise ImageToolsError for what prevented it,
    and UsageError as `plan.merge_manifest.combine` does.
    """
    first = jobs[0]
    union = combine(await together(_part(context, job) for job in jobs), overwrite=overwrite)
    existing = await _existing(context, first)
    wanted = union.image.leaves
    decided = plan(union.image, wanted, existing, PlanOptions(overwrite=True))
    if decided.action is Action.UNCHANGED and existing is not None:
        return Merged(index=existing.top, changed=False)
    present = await present_children(context, first, decided.copies)
    decided = plan(union.image, wanted, existing, PlanOptions(overwrite=True, present=present))
    assert decided.final is not None
    copied = tuple(entry.digest for entry in decided.copies)
    if dry_run:
        return Merged(index=_planned(decided.final), copied=copied)
    digest = await _carried_out(context, jobs, union, decided)
    return Merged(index=await context.reader.manifest(first.destination, digest), copied=copied)


async def _part(context: RunContext, job: Job) -> CombinedSource:
    source = job.entry.source
    head = await job.source.store.manifest_head(job.source.name, source.target)
    if head is None:
        raise NotFound(f"{source}: not found at the source")
    top = await read_top(context, job, head)
    if isinstance(parse(top), Schema1):
        raise InvalidManifest(
            f"{source}: a Docker schema 1 image, which no index can hold",
            advice="mirror it first, which converts it, and merge the result",
        )
    return CombinedSource(str(source), await context.reader.source_image(job.source, top))


async def _existing(context: RunContext, job: Job) -> DestinationImage | None:
    """Return what lies under the tag that is written; None if it cannot be compared."""
    head = await job.destination.store.manifest_head(job.destination.name, job.tag)
    if head is None:
        return None
    try:
        return await context.reader.destination_image(job.destination, head)
    except InvalidManifest as error:
        logger.debug("{}: {}", job.entry.destination, error)
        return None


async def _carried_out(
    context: RunContext, jobs: Sequence[Job], union: CombinedImage, decided: Plan
) -> Digest:
    owners = [jobs[union.origins[entry.digest]] for entry in decided.copies]
    children = await together(
        context.reader.child(job.source, entry)
        for job, entry in zip(owners, decided.copies, strict=True)
    )
    for job, child in zip(owners, children, strict=True):
        note_source_blobs(job, (child,))
        logger.info(
            "Copying [{}] => [{}]",
            job.entry.source.with_digest(child.digest),
            job.entry.destination.with_digest(child.digest),
        )
    await together(
        copy_child(context.local, job, child, number)
        for number, (job, child) in enumerate(zip(owners, children, strict=True), start=1)
    )
    assert decided.final is not None
    published = await context.local.assembler.publish(
        jobs[0], decided.final, decided.nested, jobs[0].tag
    )
    await read_back(context.options.retry, jobs[0], published.digest)
    return published.digest


def _planned(final: FinalIndex) -> RawManifest:
    if final.exact is not None:
        return final.exact
    return RawManifest(final.media_type, index_bytes(final.index))
