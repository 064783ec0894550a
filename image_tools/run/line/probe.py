"""Probe a line: a HEAD at both ends, which no registry counts."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any

from loguru import logger

from image_tools.errors import ArchiveDamaged, CopyFailed, NotFound, PlatformMissing
from image_tools.machine.concurrency import together
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.plan.cost import foreseen
from image_tools.report import Kept, Outcome, Status
from image_tools.run.behind import looks_behind
from image_tools.run.context import RunContext
from image_tools.run.hidden_tag import behind_refusal, is_not_shown, may_be_new
from image_tools.run.job import Job
from image_tools.run.memory import RepairMemory
from image_tools.run.outcomes import change_of, kept_warning, outcome_of
from image_tools.run.quota import Wanted
from image_tools.state import Remembered
from image_tools.stores.store import ManifestHead


@dataclass(frozen=True, slots=True)
class Probed:
    """An image whose manifests have to be read: the heads of both its ends.

    `is_news` where nothing is at the destination, or the source is not what a run has seen last:
    then there is almost certainly something to copy. `broken` are manifests behind the
    destination's tag of which something is missing, where the run looks behind it.
    """

    source: ManifestHead
    destination: ManifestHead | None
    is_news: bool = False
    broken: frozenset[Digest] = frozenset()

    def wanted(self, context: RunContext, job: Job, *, tops_only: bool = False) -> Wanted:
        """Return what the image wants of a pull limit; with `tops_only` no child of its index is
        read.
        """
        source, selection = self.source, context.options.selection
        target = job.entry.source.target
        return Wanted(
            registry=source.registry,
            listed=job.entry.source.registry,
            number=job.entry.number,
            need=foreseen(source.media_type, source.size, selection, tops_only=tops_only),
            ask=lambda: job.source.store.manifest_head(job.source.name, target),
            size=source.size or 0,
        )


async def probe(context: RunContext, job: Job) -> Probed | Outcome:
    """Return the outcome if two heads tell that nothing is to be done, else what they told.

    No registry counts these requests as pulls.
    """
    source, shown = await _heads(job)
    if source is None:
        raise unknown_source(job)
    if not context.options.force and (offered := _known_offer(context, job, source)) is not None:
        return skipped(context, job, offered)
    destination = (
        await behind_refusal(context, job, shown) if isinstance(shown, CopyFailed) else shown
    )
    if destination is None:
        held = held_by_base(context, job, source)
        return Probed(source, None, True) if held is None else unchanged(job, source, held)
    has_lost = await is_broken(job, destination.digest)
    broken = await _broken(context, job, destination, has_lost=has_lost)
    if not (broken or has_lost) and is_unchanged(context, job, source, destination):
        kept = _kept(context, job, source, destination)
        return unchanged(job, source, destination.digest, kept=kept)
    return Probed(source, destination, _has_moved(context, job, source), broken)


def skipped(context: RunContext, job: Job, offered: tuple[str, ...]) -> Outcome:
    """Return the outcome of an image that has no wanted platform, but those `offered`.

    Raise PlatformMissing where that is a failure.
    """
    shown = ", ".join(offered) or "none"
    reason = f"{job.entry.source}: none of the wanted platforms; the source has: {shown}"
    if context.options.missing_platform_fails:
        raise PlatformMissing(reason)
    logger.warning("{}", reason)
    return replace(outcome_of(job.entry, Status.SKIPPED), reason=reason)


def held_by_base(context: RunContext, job: Job, source: ManifestHead) -> Digest | None:
    """Return the digest of the image in the base inventory if it is the wanted one, else None."""
    if context.base is None or context.options.force:
        return None
    return context.base.unchanged(job.entry, source, context.options.state_key)


def unknown_source(job: Job) -> NotFound:
    """Return the failure of an image that is not where the list says."""
    store, source = job.source.store, job.entry.source
    if store.abilities.archive is not None:
        return NotFound(
            f"image [{source}] not exists in archive {store.name}",
            advice="check the spelling, and what the archive holds",
        )
    return NotFound(f"{source}: not found at the source")


async def heads(job: Job) -> tuple[ManifestHead | None, ManifestHead | None]:
    """Return the heads of the source and of the destination, None where there is none."""
    source, destination = await _heads(job)
    if isinstance(destination, CopyFailed):
        raise destination
    return source, destination


async def _heads(job: Job) -> tuple[ManifestHead | None, ManifestHead | CopyFailed | None]:
    looks: list[Coroutine[Any, Any, ManifestHead | CopyFailed | None]] = [
        job.source.store.manifest_head(job.source.name, job.entry.source.target),
        _destination_head(job),
    ]
    source, destination = await together(looks)
    assert not isinstance(source, CopyFailed)
    return source, destination


async def _destination_head(job: Job) -> ManifestHead | CopyFailed | None:
    """Return the head of the tag that is written, None if there is none, or why it is hidden."""
    try:
        return await job.destination.store.manifest_head(job.destination.name, job.tag)
    except CopyFailed as error:
        if not (is_not_shown(error) or may_be_new(error)):
            raise
        return error


def is_unchanged(
    context: RunContext, job: Job, source: ManifestHead, destination: ManifestHead
) -> bool:
    """Return whether two heads, or what the state remembers, show that nothing is to be done."""
    options = context.options
    if options.force:
        return False
    if _remembered(context, job) == Remembered(source.digest, destination.digest):
        return True
    # The same index holds the wanted platforms, perhaps others; a single image is no list.
    fits = source.media_type in media.INDEXES or options.keep_single
    tells_more = options.overwrite or options.arch_tags or bool(options.key_id)
    tells_more = tells_more or not options.selection.attestations
    demands = options.require_platforms or options.missing_platform_fails
    return source.digest == destination.digest and fits and not (tells_more or demands)


def _has_moved(context: RunContext, job: Job, source: ManifestHead) -> bool:
    known = _remembered(context, job)
    return known is not None and known.source_digest != source.digest


def _remembered(context: RunContext, job: Job) -> Remembered | None:
    if context.state is None:
        return None
    entry, key = job.entry, context.options.state_key
    return context.state.recall(str(entry.source), str(entry.destination), key)


def _known_offer(context: RunContext, job: Job, source: ManifestHead) -> tuple[str, ...] | None:
    """Return the platforms of a source that an earlier run skipped, unless it has changed since."""
    known = _remembered(context, job)
    if known is None or known.destination_digest is not None:
        return None
    return known.offered if known.source_digest == source.digest else None


async def _broken(
    context: RunContext, job: Job, destination: ManifestHead, *, has_lost: bool
) -> frozenset[Digest]:
    """Return what is lost behind the tag, where the run looks there, or an archive `has_lost` it.

    A repair takes nothing out of an archive: another list may fetch what this one did not choose.
    """
    asked = looks_behind(context.options, job) and not context.options.force
    if not asked and (isinstance(context.state, RepairMemory) or not has_lost):
        return frozenset()
    try:
        return await context.behind.broken(job, destination.digest)
    except ArchiveDamaged as error:
        error.advice = "run save --repair with the same list: it fetches again what is damaged"
        raise


def _kept(
    context: RunContext, job: Job, source: ManifestHead, destination: ManifestHead
) -> tuple[Kept, ...]:
    """Return what stays under the tag unasked, if the state remembers just these two ends."""
    known = _remembered(context, job)
    if known is None or known != Remembered(source.digest, destination.digest):
        return ()
    return known.kept


def unchanged(
    job: Job, source: ManifestHead, destination: Digest, *, kept: tuple[Kept, ...] = ()
) -> Outcome:
    """Return the outcome of an image that is at the destination as it is wanted."""
    logger.info("{}: unchanged", job.entry.destination)
    return replace(
        outcome_of(job.entry, Status.UNCHANGED),
        digest=str(destination),
        source_digest=str(source.digest),
        digest_preserved=source.digest == destination,
        change=change_of(source.media_type, source.digest, destination),
        kept=kept,
        warnings=(*job.warnings, *map(kept_warning, kept)),
    )


async def is_broken(job: Job, digest: Digest) -> bool:
    """Return whether the archive that is added to has lost something of the image it holds."""
    archive = job.destination.store.abilities.archive
    return archive is not None and not await archive.is_whole(digest)
