"""The first half of a list line's way, behind the look: read, plan. Nothing is written."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace

from loguru import logger

from image_tools.errors import (
    CopyFailed,
    NotFound,
)
from image_tools.exchange.presence import FAILS_ON_IT
from image_tools.machine.concurrency import together
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, Manifest, RawManifest, Schema1, parse
from image_tools.oci.platform import Platform
from image_tools.plan.inputs import ChildManifest, DestinationImage, SourceImage
from image_tools.plan.merge import select
from image_tools.plan.plan import Action, Plan, plan
from image_tools.plan.referrers import subjects
from image_tools.plan.schedule import Work
from image_tools.report import Outcome
from image_tools.run.context import RunContext
from image_tools.run.line.arch_tags import arch_tag
from image_tools.run.line.behind import looks_behind
from image_tools.run.line.destination_image import existing_image, refuse_unreadable, warn_of_lost
from image_tools.run.line.job import Job
from image_tools.run.line.platform_choice import check_required, kept_unasked, wish_of
from image_tools.run.line.probe import Seen, is_broken, skipped, unchanged
from image_tools.run.line.refused import is_not_shown
from image_tools.run.outcomes import platforms_of
from image_tools.state import Remembered
from image_tools.stores.remote.limits.meter import apart, cover, is_limited
from image_tools.stores.store import ManifestHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An image that has to be copied.

    `children` are the missing ones with their manifests. A schema 1 source has neither plan nor
    children before it is converted: `convert` is the platform it states.
    """

    source: ManifestHead
    plan: Plan = field(default_factory=lambda: Plan(action=Action.COPY))
    children: tuple[ChildManifest, ...] = ()
    convert: Platform | None = None
    existing: DestinationImage | None = None

    @property
    def source_digest(self) -> Digest:
        """Return the digest of the source."""
        return self.source.digest

    def changes(self, there: ManifestHead | None) -> bool:
        """Return whether the tag that leads to `there` now is to lead to something else."""
        return there is not None and self.plan.action is not Action.UNCHANGED

    def work(self, job: Job) -> Work:
        """This image as the schedule sees it."""
        blobs = {b.digest: b.size for child in self.children for b in child.manifest.blobs}
        return Work(image=job.entry.number, lane=job.lane, blobs=blobs)


async def prepare(gear: RunContext, job: Job, seen: Seen) -> Prepared | Outcome:
    """What has to be done for `job`, or its outcome where nothing has."""
    source, destination = seen.source, seen.destination
    top = await read_top(gear, job, source)
    found = parse(top)
    if isinstance(found, Schema1):
        stated = replace(top.descriptor, platform=found.platform)
        check_required(gear, job, (stated,))
        if not select((stated,), gear.options.selection):
            return _passed_over(gear, job, (stated,), source.digest)
        existing = await existing_image(gear, job, destination)
        converted = ManifestHead(source.digest, top.media_type, source.size)
        return Prepared(source=converted, convert=found.platform, existing=existing)
    image = await gear.reader.source_image(job.source, top)
    # After the source: what the destination has lost of it need not be read there.
    existing = await existing_image(gear, job, destination)
    return await prepared(gear, job, image, existing, replace(seen, source=_told(source, found)))


def _told(head: ManifestHead, found: Manifest | Index) -> ManifestHead:
    """Return `head` with the media type of what was read: a registry may have told none."""
    return replace(head, media_type=found.media_type)


async def prepared(
    gear: RunContext,
    job: Job,
    image: SourceImage,
    existing: DestinationImage | None,
    seen: Seen,
) -> Prepared | Outcome:
    """The plan for `image`, with the manifests of its missing children."""
    source = seen.source
    if not image.artifact:
        check_required(gear, job, image.leaves)
    wanted = select(image.leaves, gear.options.selection)
    wish = wish_of(gear, job, seen)
    first = plan(image, wanted, existing, wish)
    if first.action is Action.UNCHANGED and await _is_lacking(gear, job, existing, source.digest):
        wish = replace(wish, force=True)
        first = plan(image, wanted, existing, wish)
    if first.action is Action.SKIP:
        return _passed_over(gear, job, image.leaves, source.digest)
    refuse_unreadable(job, image, existing, wish)
    if first.action is Action.UNCHANGED:
        assert existing is not None
        return _as_wanted(gear, job, source, existing.top.digest, first)
    present = frozenset[Digest]()
    is_readable = existing is None or existing.top.digest not in seen.broken
    if is_readable and not first.as_it_is and not gear.options.force:
        present = await _whole_children(gear, job, first.copies, seen)
    decided = plan(image, wanted, existing, replace(wish, present=present))
    warn_of_lost(job, decided, existing, seen.broken)
    children = await _children(gear, job, decided, source.digest)
    return Prepared(source=source, plan=decided, children=children, existing=existing)


async def _whole_children(
    gear: RunContext, job: Job, copies: tuple[Descriptor, ...], seen: Seen
) -> frozenset[Digest]:
    """Return which children need not be copied; looking behind, all they lead to is there, too."""
    present = await present_children(gear, job, copies) - seen.broken
    if not looks_behind(gear.options, job):
        return present
    lost = await together(gear.behind.broken(job, digest) for digest in present)
    return present.difference(*lost)


def _as_wanted(
    gear: RunContext, job: Job, source: ManifestHead, there: Digest, decided: Plan
) -> Outcome:
    """Return the outcome of an image whose index, which was read, is as it should be."""
    ended = Remembered(source.digest, there, kept=kept_unasked(gear, decided))
    kept = remember(gear, job, ended).kept
    outcome = unchanged(job, source, there, kept=kept)
    return replace(outcome, platforms=platforms_of(decided.wanted))


async def _children(
    gear: RunContext, job: Job, decided: Plan, source: Digest
) -> tuple[ChildManifest, ...]:
    """The manifests of what is to be copied; none in a dry run where a registry counts them.

    There they are read together with what lies beside the image: it is begun in full or not.
    """
    copies = decided.copies
    if is_limited():
        if gear.options.dry_run:
            return ()
        await _cover(gear, job, decided, source)
    return tuple(await together(gear.reader.child(job.source, one) for one in copies))


async def _cover(gear: RunContext, job: Job, decided: Plan, source: Digest) -> None:
    """Make sure of all pulls the image still needs, and make those its copies do not."""
    beside = frozenset[Digest]()
    if gear.companions is not None:
        beside = await gear.companions.foresee(job, subjects(source, decided))
    # A skopeo that reads by itself reads the children once more.
    again = len(decided.copies) if gear.copier.direct.applies_to(job.entry.source) else 0
    wanted = beside | {one.digest for one in decided.copies}
    cover(sum(gear.reader.known(digest) is None for digest in wanted) + again)
    job.hold(apart(again))
    await together(_read_ahead(gear, job, digest) for digest in beside)


async def _read_ahead(gear: RunContext, job: Job, digest: Digest) -> None:
    """Read what lies beside the image; where it is not there, its copying will say so."""
    with suppress(NotFound):
        await gear.reader.manifest(job.source, digest)


def own_tag(gear: RunContext, job: Job, copy: Descriptor) -> str | None:
    """The tag that `--arch-tags` gives to one platform; None where it gives none."""
    if gear.options.arch_tags and not copy.is_attestation and copy.platform.is_known:
        return arch_tag(job.tag, copy.platform)
    return None


def remember(gear: RunContext, job: Job, ended: Remembered) -> Remembered:
    """Note durably how this source ended, and return it with the dates of what was kept."""
    if gear.state is None or gear.options.dry_run:
        return ended
    entry, key = job.entry, gear.options.state_key
    return gear.state.remember(str(entry.source), str(entry.destination), key, ended)


async def _is_lacking(
    gear: RunContext, job: Job, existing: DestinationImage | None, source_digest: Digest
) -> bool:
    """Whether beside an index that is as wanted something wanted is missing."""
    assert existing is not None
    digest = existing.top.digest
    if await is_broken(job, digest):
        return True
    if gear.signer is not None and await gear.signer.is_due(job, digest):
        return True
    if not gear.options.keep_digest or digest == source_digest:
        return False
    store, name = job.destination.store, job.destination.name
    return await store.manifest_head(name, source_digest) is None


async def read_top(gear: RunContext, job: Job, head: ManifestHead) -> RawManifest:
    """The source manifest behind its head, by digest."""
    if head.media_type in media.SCHEMA1:
        # Its digest is that of a payload, not of the bytes: asked for by name, as it was headed.
        return await job.source.store.manifest(job.source.name, job.entry.source.target)
    return await gear.reader.manifest(job.source, head.digest)


async def present_children(
    gear: RunContext, job: Job, copies: tuple[Descriptor, ...]
) -> frozenset[Digest]:
    """Which children lie in the destination repository already."""
    heads = await together(_head_of(gear, job, copy) for copy in copies)
    return frozenset(
        copy.digest
        for copy, head in zip(copies, heads, strict=True)
        if head is not None and head.digest == copy.digest
    )


async def _head_of(gear: RunContext, job: Job, copy: Descriptor) -> ManifestHead | None:
    place = _place(gear, job, copy)
    try:
        return await job.destination.store.manifest_head(job.destination.name, place)
    except CopyFailed as error:
        if error.status != FAILS_ON_IT and not is_not_shown(error):
            raise
        if error.status == FAILS_ON_IT and isinstance(place, str):
            raise
        logger.warning("{}; treating it as missing", error)
        job.end.book.ledger.forget(job.destination.name, copy.digest)
        return None


def _place(gear: RunContext, job: Job, copy: Descriptor) -> str | Digest:
    return own_tag(gear, job, copy) or copy.digest


def _passed_over(
    gear: RunContext, job: Job, leaves: tuple[Descriptor, ...], source: Digest
) -> Outcome:
    """The outcome of an image without wanted platforms, which the next run knows by its head."""
    offered = platforms_of(leaves)
    remember(gear, job, Remembered(source, None, offered))
    return skipped(gear, job, offered)
