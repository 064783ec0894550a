"""Decide which platforms count as chosen, and name the tags that `--arch-tags` gives them."""

from __future__ import annotations

from image_tools.errors import InvalidReference, PlatformMissing
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform
from image_tools.oci.reference import parse_tag
from image_tools.plan.inputs import PlanOptions
from image_tools.plan.plan import Plan
from image_tools.plan.selection import NOTHING, Selection
from image_tools.report import Kept
from image_tools.run.context import RunContext
from image_tools.run.endpoints import Endpoints
from image_tools.run.job import Job
from image_tools.run.options import Options
from image_tools.run.outcomes import kept_of, platforms_of


def chosen(context: RunContext, job: Job) -> Selection:
    """Return the platforms that count as chosen: they leave the tag when the source has them not.

    If all of an archive is copied without naming platforms, they were chosen when it was
    saved; of an archive that does not say so, nothing else is known to be chosen than what it has.
    """
    archive, options = job.source.store.abilities.archive, context.options
    if options.names_platforms or archive is None:
        return options.selection
    saved = archive.chosen(job.entry.source)
    if saved is None:
        return NOTHING
    return Selection(
        architectures=saved.architectures, systems=saved.systems, variants=saved.variants
    )


def wish_of(context: RunContext, job: Job, broken: frozenset[Digest]) -> PlanOptions:
    """Return how the destination is wished, as the options say."""
    options = context.options
    return PlanOptions(
        selection=chosen(context, job),
        overwrite=options.overwrite,
        keep_single=options.keep_single,
        # Tags for platforms are no part of the index: without a memory they are written again.
        force=options.force or options.arch_tags or bool(broken),
        lost=broken,
    )


def kept_entries(options: Options, endpoints: Endpoints, decided: Plan) -> tuple[Kept, ...]:
    """Return what to tell of entries that stay: nothing where whole archives are united."""
    are_archives = None not in (endpoints.source_archive, endpoints.destination_archive)
    if are_archives and not options.names_platforms:
        return ()
    return kept_of(decided.kept)


def check_required(context: RunContext, job: Job, leaves: tuple[Descriptor, ...]) -> None:
    """Raise PlatformMissing unless all named platforms are there, where that is required."""
    if not context.options.require_platforms:
        return
    images = tuple(leaf for leaf in leaves if not leaf.is_attestation)
    if missing := context.options.selection.missing(leaf.platform for leaf in images):
        shown = ", ".join(platforms_of(images)) or "none"
        raise PlatformMissing(
            f"{job.entry.source}: required platforms are missing: {', '.join(missing)};"
            f" the source has: {shown}"
        )


def arch_tag(tag: str, platform: Platform) -> str:
    """Return `TAG-OS-ARCHVARIANT`, with the system's version behind OS where one is stated.

    Raise InvalidReference when that is longer than a tag may be.
    """
    version = f"-{platform.os_version}" if platform.os_version else ""
    name = f"{tag}-{platform.os}{version}-{platform.architecture}{platform.variant}"
    try:
        return parse_tag(name)
    except InvalidReference as error:
        raise InvalidReference(f"--arch-tags: {error}") from error


def own_tag(options: Options, job: Job, child: Descriptor) -> str | None:
    """Return the tag that `--arch-tags` gives to one platform; None if it gets none."""
    if options.arch_tags and not child.is_attestation and child.platform.is_known:
        return arch_tag(job.tag, child.platform)
    return None
