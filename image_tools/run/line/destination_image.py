"""Read what the destination's tag leads to already, and what of it is lost."""

from __future__ import annotations

from loguru import logger

from image_tools.errors import DigestMismatch, ImageToolsError, InvalidManifest, NotFound
from image_tools.oci.digest import Digest
from image_tools.plan.inputs import DestinationImage, PlanOptions, SourceImage
from image_tools.plan.plan import Plan
from image_tools.run.context import RunContext
from image_tools.run.line.behind import looks_behind
from image_tools.run.line.job import Job
from image_tools.stores.store import ManifestHead


async def existing_image(
    context: RunContext, job: Job, head: ManifestHead | None
) -> DestinationImage | None:
    """Return what lies under the destination's tag; None for nothing, and for what is replaced.

    Raises InvalidManifest where it cannot be merged with.
    """
    if head is None:
        return None
    try:
        return await context.reader.destination_image(job.destination, head)
    except (InvalidManifest, NotFound, DigestMismatch) as error:
        if context.options.overwrite:
            return None
        if _is_replaced(context, job, error):
            logger.warning("{}: replacing what lies there: {}", job.entry.destination, error)
            return None
        raise InvalidManifest(
            f"{job.entry.destination}: what lies there cannot be merged with: {error}",
            advice="replace it with --overwrite",
        ) from error


def _is_replaced(context: RunContext, job: Job, error: ImageToolsError) -> bool:
    """Return whether what cannot be merged with may go without --overwrite.

    Content that is lost may, where the run looks behind the tag. What is there and is no index of
    ours, such as a schema 1 image, goes only where a validation has named this very line.
    """
    if isinstance(error, InvalidManifest):
        return job.entry.look_behind
    return looks_behind(context.options, job)


def refuse_unreadable(
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


def warn_of_lost(
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
