"""The mode of validations: compare a destination with what is asked for; nothing is written.

It shares with a mirror run how both ends are reached and read, and nothing of what decides: a
mistake in a plan, or in what the state remembers, has to be seen here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from loguru import logger

from image_tools.errors import (
    Different,
    DigestMismatch,
    InvalidManifest,
    NotFound,
    PlatformMissing,
)
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.manifest import RawManifest, Schema1, parse
from image_tools.report import Change, Outcome, Status
from image_tools.run.context import RunContext
from image_tools.run.deep_walk import Depth, Holding, Walk
from image_tools.run.job import Job
from image_tools.run.line.probe import Probed, heads, held_by_base, unknown_source
from image_tools.run.line.read import read_top
from image_tools.run.outcomes import OutcomeMode, kept_of, kept_warning, outcome_of, platforms_of
from image_tools.run.transfer_job import TransferJob
from image_tools.stores.store import ManifestHead
from image_tools.validation.comparison import Comparison, compare, compare_converted
from image_tools.validation.contents import AtDestination, AtSource
from image_tools.validation.demand import Choice, Demand, choose
from image_tools.validation.verdict import (
    KEPT,
    LOST,
    REPAIR,
    Names,
    Verdict,
    unknown_type,
    unreadable,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The options of a validation; `sample` is the part of the blobs that is read, from 0 to 1."""

    depth: Depth = Depth.DIGEST
    sample: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """The image at its source; `converted` where it is of schema 1, which copies convert."""

    origin: AtSource
    converted: bool = False


@dataclass(slots=True)
class ValidateMode(OutcomeMode):
    """Compares each image with what is asked for, and writes nothing."""

    context: RunContext
    wish: Validation
    asked: Demand
    reads_indexes_only: bool = True
    writes: bool = False

    async def probe(self, job: Job) -> Probed | Outcome:
        """See `Mode`."""
        return await compare_heads(self.context, job, self.wish, self.asked)

    async def read_and_plan(self, job: Job, probed: Probed) -> Outcome:
        """See `Mode`; nothing is planned here."""
        return await validate(self.context, job, probed, self.wish, self.asked)

    async def finish(self, job: Job, task: TransferJob) -> Outcome:
        """See `Mode`; a validation never has a job to finish."""
        raise AssertionError(f"{job.entry.source}: {task} in a validation")


async def compare_heads(
    context: RunContext, job: Job, wish: Validation, asked: Demand
) -> Probed | Outcome:
    """Return `passed` where two heads say so already; raise what kept an end from being read."""
    source, destination = await heads(job)
    if source is None:
        raise unknown_source(job)
    shallow = wish.depth is Depth.DIGEST
    if shallow and destination is not None and _is_enough(source, destination, asked):
        return _passed(job, source, destination)
    if destination is None and (held := held_by_base(context, job, source)) is not None:
        return _passed(job, source, ManifestHead(held, source.media_type, None))
    return Probed(source, destination)


async def validate(
    context: RunContext, job: Job, seen: Probed, wish: Validation, asked: Demand
) -> Outcome:
    """Return `passed` or `skipped`; raise Different, or what kept an end from being read."""
    source = await _source(context, job, seen.source)
    choice = choose(source.origin.leaves, asked)
    if choice.missing:
        shown = ", ".join(choice.missing)
        raise PlatformMissing(f"{job.entry.source}: required platforms are missing: {shown}")
    if not choice.wanted:
        return _skipped(job, source.origin, asked)
    holding = Holding(context.reader, job.destination, is_fresh=wish.depth is not Depth.DIGEST)
    walk = Walk(holding, job.source, names_of(job), wish.depth, wish.sample)
    there = await _held(job, seen, walk)
    compared = _compared(source, choice, there, _as_saved(job, asked), walk.names)
    is_deep = wish.depth is not Depth.DIGEST
    if compared.verdict.problems or seen.destination is None:
        # The content behind a wrong index, or left by a lost tag, was not checked. `mirror` checks
        # it, so that one run repairs all of it.
        verdict = _placed(compared.verdict, source, choice, there)
        raise _different(job, replace(verdict, behind=verdict.behind or is_deep))
    if is_deep:
        _refuse(job, walk, await walk.problems(compared.complete))
    passed = _passed(job, seen.source, seen.destination, choice.wanted)
    return _with_remarks(passed, source, there, compared, walk)


def names_of(job: Job) -> Names:
    """Return what messages call both ends of `job`."""
    destination = job.entry.destination
    return Names(source=str(job.entry.source), destination=destination.name, tag=job.tag)


def _is_enough(source: ManifestHead, destination: ManifestHead, asked: Demand) -> bool:
    """Return whether two heads are enough: the destination has what the source has, byte for byte.

    It has the wanted platforms then, and no left-over one. A single image has to be in a list,
    unless it was to stay as it is.
    """
    as_it_is = source.media_type in media.MANIFESTS and asked.keep_single
    fits = source.media_type in media.INDEXES or as_it_is
    exact = asked.overwrite or asked.require_platforms or asked.missing_platform_fails
    exact = exact or not asked.attestations
    return source.digest == destination.digest and fits and not exact


def _as_saved(job: Job, asked: Demand) -> Demand:
    """Return what was asked for when the archive was saved that is loaded without any choice."""
    archive = job.source.store.abilities.archive
    if asked.names_platforms or archive is None:
        return asked
    saved = archive.chosen(job.entry.source)
    if saved is None:
        return replace(asked, is_known=False)
    return replace(
        asked,
        architectures=saved.architectures,
        systems=saved.systems,
        variants=saved.variants,
    )


async def _source(context: RunContext, job: Job, head: ManifestHead) -> _Source:
    top = await read_top(context, job, head)
    found = parse(top)
    if isinstance(found, Schema1):
        stated = replace(top.descriptor, platform=found.platform)
        origin = AtSource(digest=head.digest, leaves=(stated,), is_index=False)
        return _Source(origin=origin, converted=True)
    return _Source(origin=await _origin(context, job, top))


async def _origin(context: RunContext, job: Job, top: RawManifest) -> AtSource:
    holding = Holding(context.reader, job.source, is_fresh=False)
    head = ManifestHead(top.digest, top.media_type, len(top.content))
    held = await holding.held(head, holding.answer)
    for problem in holding.problems:
        raise problem.error
    return AtSource(digest=top.digest, leaves=held.leaves, is_index=held.is_index)


async def _held(job: Job, seen: Probed, walk: Walk) -> AtDestination | None:
    """Return what is under the destination's tag.

    Raise Different where its index cannot be read.
    """
    if seen.destination is None:
        return None
    shallow = walk.depth is Depth.DIGEST
    get = walk.holding.answer if shallow else walk.answer
    try:
        held = await walk.holding.held(seen.destination, get)
    except InvalidManifest as error:
        verdict = replace(unknown_type(seen.destination.media_type, walk.names), behind=True)
        raise _different(job, verdict) from error
    except (NotFound, DigestMismatch) as error:
        raise _different(job, unreadable(error, walk.names)) from error
    if shallow:
        for problem in walk.holding.problems:
            raise _different(job, unreadable(problem.error, walk.names)) from problem.error
    _refuse(job, walk, walk.said(walk.holding.problems))
    return held


def _compared(
    source: _Source, choice: Choice, there: AtDestination | None, asked: Demand, names: Names
) -> Comparison:
    if source.converted:
        return compare_converted(choice.wanted[0].platform, there, asked, names)
    return compare(source.origin, choice, there, asked, names)


def _placed(
    verdict: Verdict, source: _Source, choice: Choice, there: AtDestination | None
) -> Verdict:
    """Return `verdict`; where the destination has the wanted index itself, the fault is behind it.

    Of an entry that states no platform, a lost image shows as a platform that differs.
    """
    origin = source.origin
    is_same = there is not None and there.digest == origin.digest
    if not (is_same and origin.is_index and choice.is_whole):
        return verdict
    return replace(verdict, advice=LOST, behind=True)


def _refuse(job: Job, walk: Walk, problems: tuple[str, ...]) -> None:
    """Raise Different where something behind the index is missing or damaged."""
    if problems:
        advice = REPAIR if walk.decayed else KEPT if walk.found_wrong else LOST
        raise _different(job, Verdict(problems=problems, advice=advice, behind=True))


def _different(job: Job, verdict: Verdict) -> Different:
    """Return the failure behind a verdict; both specs are logged as the predecessor did."""
    for name, spec in (("srcSpec", verdict.source_spec), ("dstSpec", verdict.destination_spec)):
        if spec:
            logger.error("{}: {}", name, spec)
    logger.error("FAILED [{}]", job.entry.source)
    problems = "; ".join(verdict.problems)
    advice = verdict.advice.replace("mirror", _copying(job))
    return Different(problems, advice=advice, behind=verdict.behind)


def _copying(job: Job) -> str:
    """Return the command that copies what is compared here."""
    if job.destination.store.abilities.archive is not None:
        return "save"
    return "mirror" if job.source.store.abilities.archive is None else "load"


def _skipped(job: Job, source: AtSource, asked: Demand) -> Outcome:
    """Return the outcome of an image without wanted platforms.

    Raise PlatformMissing if that fails.
    """
    shown = ", ".join(platforms_of(source.leaves)) or "none"
    reason = f"{job.entry.source}: none of the wanted platforms; the source has: {shown}"
    if asked.missing_platform_fails:
        raise PlatformMissing(reason)
    logger.warning("{}", reason)
    return replace(outcome_of(job.entry, Status.SKIPPED), reason=reason)


def _passed(
    job: Job, source: ManifestHead, there: ManifestHead, wanted: tuple[Descriptor, ...] = ()
) -> Outcome:
    logger.info("PASS [{}] == [{}]", job.entry.source, job.entry.destination)
    is_same = source.digest == there.digest
    return replace(
        outcome_of(job.entry, Status.PASSED),
        digest=str(there.digest),
        source_digest=str(source.digest),
        digest_preserved=is_same,
        change=Change.SAME_DIGEST if is_same else Change.FILTERED,
        platforms=platforms_of(wanted),
    )


def _with_remarks(
    passed: Outcome,
    source: _Source,
    there: AtDestination | None,
    compared: Comparison,
    walk: Walk,
) -> Outcome:
    """Return the outcome of an image that passes, with what is to be known of it all the same."""
    kept = kept_of(compared.stale)
    warnings = (*map(kept_warning, kept), *walk.warnings)
    for warning in warnings:
        logger.warning("{}: {}", passed.destination, warning)
    change = passed.change
    if change is not Change.SAME_DIGEST and there is not None and not source.origin.is_index:
        change = Change.CONVERTED if source.converted else Change.LIST_OF_ONE
    return replace(passed, change=change, kept=kept, warnings=warnings)
