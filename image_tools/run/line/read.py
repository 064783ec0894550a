"""Read both sides of an image whose heads do not tell that nothing is to be done."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from loguru import logger

from image_tools.errors import DigestMismatch, ImageToolsError, InvalidManifest, NotFound
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest, Schema1, parse
from image_tools.oci.platform import Platform
from image_tools.plan.inputs import DestinationImage, SourceImage
from image_tools.plan.merge import select
from image_tools.run.behind import looks_behind
from image_tools.run.context import RunContext
from image_tools.run.job import Job
from image_tools.run.line.probe import Probed
from image_tools.stores.store import ManifestHead


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadImage:
    """Both sides of one image.

    A schema 1 source has no `image` before it is converted: `converts` is the platform it states.
    `existing` is what lies under the destination's tag, None for nothing or for what is replaced;
    `broken` are manifests behind that tag of which something is missing.
    """

    source: ManifestHead
    leaves: tuple[Descriptor, ...]
    image: SourceImage | None = None
    converts: Platform | None = None
    destination: ManifestHead | None = None
    existing: DestinationImage | None = None
    broken: frozenset[Digest] = field(default_factory=frozenset)


async def read(context: RunContext, job: Job, probed: Probed) -> ReadImage:
    """Return both sides of the image of `job`: indexes, nested indexes, unstated platforms.

    Raise NotFound, InvalidManifest or DigestMismatch for a source that cannot be read, and
    InvalidManifest for a destination that cannot be merged with.
    """
    top = await read_top(context, job, probed.source)
    found = parse(top)
    if isinstance(found, Schema1):
        return await _schema1(context, job, probed, top, found.platform)
    image = await context.reader.source_image(job.source, top)
    return ReadImage(
        # A registry may have told no media type, or another one.
        source=replace(probed.source, media_type=found.media_type),
        leaves=image.leaves,
        image=image,
        destination=probed.destination,
        # After the source: what the destination has lost of it need not be read there.
        existing=await existing_image(context, job, probed.destination),
        broken=probed.broken,
    )


async def read_top(context: RunContext, job: Job, head: ManifestHead) -> RawManifest:
    """Return the source manifest behind `head`, by digest."""
    if head.media_type in media.SCHEMA1:
        # Its digest is that of a payload, not of the bytes: ask for it by the name of the head.
        return await job.source.store.manifest(job.source.name, job.entry.source.target)
    return await context.reader.manifest(job.source, head.digest)


async def _schema1(
    context: RunContext, job: Job, probed: Probed, top: RawManifest, platform: Platform
) -> ReadImage:
    leaves = (replace(top.descriptor, platform=platform),)
    is_wanted = bool(select(leaves, context.options.selection))
    existing = await existing_image(context, job, probed.destination) if is_wanted else None
    source = probed.source
    return ReadImage(
        source=ManifestHead(source.digest, top.media_type, source.size),
        leaves=leaves,
        converts=platform,
        destination=probed.destination,
        existing=existing,
        broken=probed.broken,
    )


async def existing_image(
    context: RunContext, job: Job, head: ManifestHead | None
) -> DestinationImage | None:
    """Return what lies under the destination's tag; None for nothing, and for what is replaced.

    Raise InvalidManifest where it cannot be merged with.
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

    Lost content may, if the run looks behind the tag. Content that cannot be merged with, such as a
    schema 1 image, is replaced only if a validation has named this very line.
    """
    if isinstance(error, InvalidManifest):
        return job.entry.look_behind
    return looks_behind(context.options, job)
