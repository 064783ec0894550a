"""Comparing a destination with what the plan wants: nothing is written, nothing is copied."""

from __future__ import annotations

from dataclasses import dataclass, replace

from loguru import logger

from image_tools.errors import Different, DigestMismatch, InvalidManifest, NotFound
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest, Schema1, parse
from image_tools.plan.images import DestinationImage
from image_tools.plan.merge import select
from image_tools.plan.plan import Action, Wish, plan
from image_tools.plan.verdict import (
    KEPT,
    LOST,
    Names,
    Verdict,
    explain,
    explain_converted,
    unknown_type,
    unreadable,
)
from image_tools.report import Outcome, Status
from image_tools.run.gear import Gear
from image_tools.run.job import Job
from image_tools.run.looking import (
    Seen,
    held_by_base,
    is_unchanged,
    probe,
    skipped,
    unknown_source,
)
from image_tools.run.outcomes import outcome_of, platforms_of
from image_tools.run.preparing import read_top
from image_tools.run.walking import Depth, Walk
from image_tools.stores.store import ManifestHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """How to validate; `sample` is the part of the blobs whose bytes are read, from 0 to 1."""

    depth: Depth = Depth.DIGEST
    sample: float = 1.0


@dataclass(frozen=True, slots=True)
class _Compared:
    """What a comparison found: the wanted entries as the destination holds them, the verdict."""

    wanted: tuple[Descriptor, ...]
    verdict: Verdict


async def look(gear: Gear, job: Job, wish: Validation) -> Seen | Outcome:
    """`passed` where two heads say so already; raises what kept an end from being looked at."""
    source, destination = await probe(job)
    if source is None:
        raise unknown_source(job)
    shallow = wish.depth is Depth.DIGEST
    if shallow and destination is not None and is_unchanged(gear, job, source, destination):
        return _passed(job, source.digest, destination, ())
    if destination is None and (held := held_by_base(gear, job, source)) is not None:
        return _passed(job, source.digest, ManifestHead(held, source.media_type, None), ())
    return Seen(source, destination)


async def validate(gear: Gear, job: Job, seen: Seen, wish: Validation) -> Outcome:
    """`passed` or `skipped`; raises Different, or what kept an end from being read."""
    source, destination = seen.source, seen.destination
    top = await read_top(gear, job, source)
    compared = await _compare(gear, job, top, destination)
    if isinstance(compared, Outcome):
        return compared
    if compared.verdict.problems or destination is None:
        raise _different(job, compared.verdict)
    if wish.depth is not Depth.DIGEST:
        walk = Walk(job.destination, names_of(job).place, wish.depth, wish.sample)
        problems = await walk.problems(destination.digest, compared.wanted)
        if problems:
            advice = KEPT if walk.found_wrong else LOST
            raise _different(job, Verdict(problems=problems, advice=advice))
    return _passed(job, source.digest, destination, platforms_of(compared.wanted))


def names_of(job: Job) -> Names:
    """What messages call both ends of `job`."""
    destination = job.entry.destination
    return Names(source=str(job.entry.source), destination=destination.name, tag=job.tag)


async def _compare(
    gear: Gear, job: Job, top: RawManifest, head: ManifestHead | None
) -> _Compared | Outcome:
    found = parse(top)
    if isinstance(found, Schema1):
        stated = replace(top.descriptor, platform=found.platform)
        if not select((stated,), gear.options.selection):
            return skipped(gear, job, platforms_of((stated,)))
        existing = await _existing(gear, job, head)
        return _Compared(*explain_converted(stated.platform, existing, names_of(job)))
    image = await gear.reader.source_image(job.source, top)
    # After the source: what the destination has lost of it is for the walk to find.
    existing = await _existing(gear, job, head)
    wanted = select(image.leaves, gear.options.selection)
    decided = plan(image, wanted, existing, Wish(overwrite=gear.options.overwrite))
    if decided.action is Action.SKIP:
        return skipped(gear, job, platforms_of(image.leaves))
    if decided.action is Action.UNCHANGED:
        return _Compared(wanted, Verdict())
    return _Compared(wanted, explain(image, wanted, existing, names_of(job)))


async def _existing(gear: Gear, job: Job, head: ManifestHead | None) -> DestinationImage | None:
    if head is None:
        return None
    try:
        return await gear.reader.destination_image(job.destination, head)
    except InvalidManifest as error:
        verdict = unknown_type(head.media_type, names_of(job))
        raise _different(job, verdict) from error
    except (NotFound, DigestMismatch) as error:
        raise _different(job, unreadable(error, names_of(job))) from error


def _different(job: Job, verdict: Verdict) -> Different:
    """The failure behind a verdict; both specs are logged as the predecessor did."""
    for name, spec in (("srcSpec", verdict.source_spec), ("dstSpec", verdict.destination_spec)):
        if spec:
            logger.error("{}: {}", name, spec)
    logger.error("FAILED [{}]", job.entry.source)
    return Different("; ".join(verdict.problems), advice=verdict.advice)


def _passed(
    job: Job, source: Digest, destination: ManifestHead, platforms: tuple[str, ...]
) -> Outcome:
    logger.info("PASS [{}] == [{}]", job.entry.source, job.entry.destination)
    return replace(
        outcome_of(job.entry, Status.PASSED),
        digest=str(destination.digest),
        source_digest=str(source),
        digest_preserved=source == destination.digest,
        platforms=platforms,
    )
