"""A destination that does not show the tag to be written: is there one, and may it be replaced?"""

from __future__ import annotations

from loguru import logger

from image_tools.errors import CopyFailed, RateLimited, Unauthorized, Unavailable
from image_tools.run.context import RunContext
from image_tools.run.job import Job
from image_tools.stores.store import ChecksAdmission, ManifestHead

FORBIDDEN = 403
# 412 and 451 are policies: the tag exists and cannot be read (harbor#15283, #19408).
POLICIES = frozenset({412, 451})
_NOT_SHOWN = frozenset({400, FORBIDDEN, *POLICIES})
_ADVICE = "use --overwrite to replace the tag without reading it"


def is_not_shown(error: CopyFailed) -> bool:
    """Return whether a registry itself refuses, for good, to show something."""
    is_registrys = error.answered and not isinstance(error, (Unavailable, RateLimited))
    return is_registrys and error.status in _NOT_SHOWN


def may_be_new(error: CopyFailed) -> bool:
    """Return whether the repository may be one that only a push creates (Quay, helm#31567)."""
    return isinstance(error, Unauthorized) and error.answered


async def behind_refusal(context: RunContext, job: Job, error: CopyFailed) -> ManifestHead | None:
    """Return None if a new tag can be written: there is none, or it may be replaced unread.

    Artifactory, and S3 without the right to list, answer 403 for a tag that does not exist
    (cosign#2973, ggcr#1691): if the repository accepts pushes and does not list the tag, there is
    none. Raise `error` with a hint if the tag may exist and would have to be merged.
    """
    admission = None if context.options.dry_run else job.destination.store.abilities.admission
    if may_be_new(error):
        if admission is None:
            raise error
        return await _try_new(context, job, admission, error)
    if admission is not None and error.status == FORBIDDEN and not await _lists_tag(job):
        await _try_push(context, job, admission, error)
        logger.info("{}; the repository accepts pushes: treating the tag as missing", error)
        return None
    if context.options.overwrite:
        logger.info("{}; replacing the tag without reading it (--overwrite)", error)
        return None
    raise _with_way_out(error)


async def _lists_tag(job: Job) -> bool | None:
    """Return whether the tags of the destination repository include the one that is written."""
    listing = job.destination.store.abilities.tag_lists
    return None if listing is None else await listing.lists_tag(job.destination.name, job.tag)


async def _try_new(
    context: RunContext, job: Job, admission: ChecksAdmission, error: CopyFailed
) -> ManifestHead | None:
    """Return the head of the tag, once a login that cannot read the repository has pushed to it.

    Raise `error` if the login is refused or may not push.
    """
    try:
        login = await admission.login(job.destination.name)
    except CopyFailed as refusal:
        raise error from refusal
    if login is None:
        raise error
    await _try_push(context, job, admission, error)
    try:
        # The push may have made the repository readable.
        return await job.destination.store.manifest_head(job.destination.name, job.tag)
    except CopyFailed as still:
        if not (is_not_shown(still) or may_be_new(still)):
            raise
        if context.options.overwrite:
            logger.info("{}; replacing the tag without reading it (--overwrite)", still)
            return None
        raise _with_way_out(error) from still


async def _try_push(
    context: RunContext, job: Job, admission: ChecksAdmission, error: CopyFailed
) -> None:
    """Raise `error`, the refusal to show the tag, unless the repository accepts pushes."""
    try:
        if context.preflight is None:
            await admission.try_push(job.destination.name)
        else:
            await context.preflight.try_push(job, admission)
    except CopyFailed as refusal:
        logger.debug("{}", refusal)
        raise error from refusal


def _with_way_out(error: CopyFailed) -> CopyFailed:
    return error.copied(
        f"{error.message}: the current tag cannot be read",
        advice=f"{error.own_advice}; or {_ADVICE}" if error.own_advice else _ADVICE,
    )
