"""The second half of a list line's way: copy what is missing, publish the index, read it back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from loguru import logger

from image_tools.errors import (
    CopyFailed,
    ImageToolsError,
    IntegrityError,
    ManifestUnsupported,
    UnknownFailure,
)
from image_tools.machine.concurrency import together
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.plan.copy_all import CopyAll, copy_all
from image_tools.plan.inputs import ChildManifest, PlanOptions
from image_tools.plan.merge import select
from image_tools.plan.plan import Action, Plan, plan
from image_tools.report import Kept, Outcome, Status
from image_tools.retry import repeat_async
from image_tools.run.context import RunContext
from image_tools.run.line.arch_tags import arch_tag
from image_tools.run.line.job import Job
from image_tools.run.line.platform_choice import chosen, kept_unasked
from image_tools.run.line.projects import ensure_project
from image_tools.run.line.read import Prepared, own_tag, remember
from image_tools.run.line.referrers import Beside
from image_tools.run.line.refused import POLICIES, is_not_shown
from image_tools.run.outcomes import (
    change_of,
    kept_warning,
    outcome_of,
    platforms_of,
)
from image_tools.run.tools.assembler import Published
from image_tools.run.tools.own_client import OWN_CLIENT
from image_tools.state import Remembered
from image_tools.tools.skopeo import cannot_keep

COPY = "copy"


async def carry_out(gear: RunContext, job: Job, prepared: Prepared) -> Outcome:
    """The outcome `copied`, once the tag holds what the plan says; raises what prevented it."""
    if gear.signer is not None:
        # A key that cannot sign is known before anything is moved.
        await gear.signer.ready()
    await ensure_project(job)
    note_source_blobs(job, prepared.children)
    decided = prepared.plan
    if prepared.convert is not None:
        decided = await _converted(gear, job, prepared)
    beside = Beside(gear, job, prepared.source_digest, decided)
    if decided.as_it_is:
        # Where something is to lie beside it, it gets its tag in the end.
        await beside.look()
        if any(own_tag(gear, job, child.descriptor) for child in prepared.children):
            await _copied(gear, job, prepared, tagged=False)
        await _copied(gear, job, prepared, tagged=not beside.comes_first)
        published = await _published(gear, job, prepared, beside)
    elif await _go_together(gear, job, prepared):
        published = await _in_one_run(gear, job, prepared, beside)
    else:
        await together([_copied(gear, job, prepared, tagged=False), beside.look()])
        published = await _published(gear, job, prepared, beside)
    warnings = await read_back(gear, job, published.digest)
    beside.conclude(published.digest)
    kept = _kept(gear, job, prepared, decided, published.digest)
    return replace(
        outcome_of(job.entry, Status.COPIED),
        digest=str(published.digest),
        source_digest=str(prepared.source_digest),
        digest_preserved=published.digest == prepared.source_digest,
        platforms=platforms_of(decided.wanted),
        path=OWN_CLIENT if job.by_own_client else published.path,
        warnings=(*beside.warnings, *job.warnings, *warnings, *map(kept_warning, kept)),
        change=change_of(prepared.source.media_type, prepared.source_digest, published.digest),
        kept=kept,
    )


def _kept(
    gear: RunContext, job: Job, prepared: Prepared, decided: Plan, published: Digest
) -> tuple[Kept, ...]:
    """Remember how the image ended; tell and return what stays under its tag unasked."""
    ended = Remembered(prepared.source_digest, published, kept=kept_unasked(gear, decided))
    kept = remember(gear, job, ended).kept
    for one in kept:
        logger.warning("{}: {}", job.entry.destination, kept_warning(one))
    for entry in decided.removed:
        where = f"{entry.platform} ({entry.digest})"
        logger.info("{}: removed {} from the tag", job.entry.destination, where)
    return kept


async def _go_together(gear: RunContext, job: Job, prepared: Prepared) -> bool:
    several = len(prepared.children) > 1 and not gear.options.arch_tags
    if not several or not gear.copier.takes_several(job):
        return False
    return len(await gear.copier.readable(prepared.children)) > 1


async def _in_one_run(gear: RunContext, job: Job, prepared: Prepared, beside: Beside) -> Published:
    """Bring all children with one run of skopeo, and the index, too, where it is the source's.

    What skopeo is known not to parse is written by our own client before.
    """
    count, key = len(prepared.children), f"{job.entry.number}.1"
    with logger.contextualize(img_id=1):
        gear.progress.begin(key, f"{job.entry.destination} {count} platforms")
        try:
            await together([gear.copier.place(job, prepared.children), beside.look()])
            readable = await gear.copier.readable(prepared.children)
            others = [child for child in prepared.children if child not in readable]
            await together(gear.copier.copy(job, one, f"@{one.digest}") for one in others)
            bundled = _bundled(replace(prepared, children=readable), beside)
            has_tag = await _copied_at_once(gear, job, bundled)
        finally:
            gear.progress.end(key)
    if has_tag:
        return Published(bundled.index.digest, COPY)
    return await _published(gear, job, prepared, beside)


def _bundled(prepared: Prepared, beside: Beside) -> CopyAll:
    final = None if beside.is_something else prepared.plan.final
    image = None if final is None or prepared.plan.nested else final.exact
    entries = len({entry.digest for entry in final.entries}) if final is not None else 0
    return copy_all(prepared.children, image, entries)


async def _copied_at_once(gear: RunContext, job: Job, bundled: CopyAll) -> bool:
    """Copy what is in `bundled`; whether that has written the tag, too."""
    where = ", ".join(str(child.descriptor.platform) for child in bundled.children)
    logger.debug("copying {} of {} at once", where, job.entry.source)
    try:
        await gear.copier.copy_several(job, bundled, job.tag)
    except ManifestUnsupported as error:
        # One of them; which one, each by itself finds out.
        logger.debug("{}; copying one after the other", error)
        await together(gear.copier.copy(job, one, f"@{one.digest}") for one in bundled.children)
        return False
    except UnknownFailure as error:
        if not cannot_keep(str(error)):
            raise
        # The children have arrived by then; the index takes another way.
        return False
    return bundled.is_image


async def _copied(gear: RunContext, job: Job, prepared: Prepared, *, tagged: bool) -> None:
    await together(
        copy_child(gear, job, child, number, tagged=tagged)
        for number, child in enumerate(prepared.children, start=1)
    )


def note_source_blobs(job: Job, children: Iterable[ChildManifest]) -> None:
    """Within one registry the source repository is one more place to mount from."""
    if job.mount_from is None:
        return
    for child in children:
        for blob in child.manifest.blobs:
            job.end.book.ledger.suppose(job.mount_from, blob.digest, blob.size)


async def copy_child(
    gear: RunContext, job: Job, child: ChildManifest, number: int, *, tagged: bool = False
) -> None:
    """Copy one child, the `number`th of its image: by digest, or as the image's tag itself."""
    where = child.descriptor.platform
    ending = f":{job.tag}" if tagged else _ending(gear, job, child.descriptor)
    with logger.contextualize(img_id=number):
        key = f"{job.entry.number}.{number}"
        gear.progress.begin(key, f"{job.entry.destination} {where}")
        try:
            logger.debug("copying {} of {}", where, job.entry.source)
            await gear.copier.copy(job, child, ending)
        finally:
            gear.progress.end(key)


def _ending(gear: RunContext, job: Job, copy: Descriptor) -> str:
    tag = own_tag(gear, job, copy)
    return f"@{copy.digest}" if tag is None else f":{tag}"


async def _converted(gear: RunContext, job: Job, prepared: Prepared) -> Plan:
    """The plan for what a schema 1 image has become at the destination."""
    assert prepared.convert is not None
    logger.warning(
        "{}: a Docker schema 1 image is converted to schema 2, its digest changes",
        job.entry.source,
    )
    tag = arch_tag(job.tag, prepared.convert) if gear.options.arch_tags else None
    raw = await gear.copier.convert(job, tag)
    image = await gear.reader.source_image(job.destination, raw)
    wish = PlanOptions(
        selection=chosen(gear, job),
        overwrite=gear.options.overwrite,
        force=gear.options.force,
        present=frozenset({raw.digest}),
    )
    # Its platform was matched before: the config may spell it otherwise.
    wanted = select(image.leaves, gear.options.selection) or image.leaves
    return plan(image, wanted, prepared.existing, wish)


async def _published(gear: RunContext, job: Job, prepared: Prepared, beside: Beside) -> Published:
    """Write the tag, behind all that is to lie beside it: nobody shall see it unsigned."""
    if not beside.comes_first:
        await beside.publish(None)
        return await _written(gear, job, prepared, beside.decided, tagged=True)
    untagged = await _written(gear, job, prepared, beside.decided, tagged=False)
    await beside.publish(untagged.digest)
    if beside.decided.as_it_is:
        await _copied(gear, job, prepared, tagged=True)
    elif untagged.path:
        raw = await gear.reader.manifest(job.destination, untagged.digest)
        await gear.assembler.exactly(job, raw, job.tag)
    return untagged


async def _written(
    gear: RunContext, job: Job, prepared: Prepared, decided: Plan, *, tagged: bool
) -> Published:
    if decided.as_it_is:
        return Published(decided.wanted[0].digest, COPY)
    if decided.action is Action.UNCHANGED and prepared.existing is not None:
        return Published(prepared.existing.top.digest, "")
    assert decided.final is not None
    key = f"{job.entry.number}.0"
    gear.progress.begin(key, f"{job.entry.destination} list")
    try:
        tag = job.tag if tagged else None
        return await gear.assembler.publish(job, decided.final, decided.nested, tag)
    finally:
        gear.progress.end(key)


async def read_back(gear: RunContext, job: Job, expected: Digest) -> tuple[str, ...]:
    """What has to be said once the tag shows what was written; IntegrityError otherwise."""
    return await repeat_async(gear.options.retry, lambda: _look_back(job, expected))


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
    """The warning that the registry took the tag and does not show it.

    A policy hides what it does not know yet. Without one the manifest at least has to be there.
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
    """Whether the registry lists its tags without this one; it is asked again after the push."""
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
