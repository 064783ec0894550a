"""Rows of the table: rate limits, and refused pushes."""

from __future__ import annotations

from image_tools.errors import (
    AccessDenied,
    QuotaExceeded,
    RateLimited,
    ReadOnly,
    RepositoryMissing,
    TagImmutable,
    TypeRefused,
    UnknownFailure,
)
from image_tools.refusals import hints
from image_tools.refusals.case import Stage
from image_tools.refusals.row import PUSHING, RefusalRow

_WRITING = frozenset({Stage.PUSHING, Stage.DELETING, Stage.TOOL})

_RATE = r"toomanyrequests|too many requests|rate exceeded|rate limit|per minute"


def _limited(hint: str = "", stages: frozenset[Stage] = frozenset()) -> tuple[RefusalRow, ...]:
    """Return the rows for a rate limit: by status, by code and by words."""
    said = "too many requests"
    codes = ("TOOMANYREQUESTS",)
    return (
        RefusalRow(RateLimited, said, hint, stages=stages, statuses=(429,)),
        RefusalRow(RateLimited, said, hint, stages=stages, codes=codes),
        RefusalRow(RateLimited, said, hint, stages=stages, words=_RATE),
    )


LIMITS = (*_limited(hints.PUSH_RATE, PUSHING), *_limited())


def _refused(media: str, hint: str) -> tuple[RefusalRow, ...]:
    """Return the rows for a refused `media` type: by status, and by words."""
    said = "the registry does not store {media_type}"
    return (
        RefusalRow(TypeRefused, said, hint, stages=PUSHING, statuses=(415,), media=media),
        RefusalRow(
            TypeRefused,
            said,
            hint,
            stages=PUSHING,
            statuses=(400, 406, 422),
            words=r"media ?type|fail to parse 'manifest\.json'|schema ?version",
            media=media,
        ),
    )


PUSHES = (
    RefusalRow(
        TypeRefused,
        "the registry refused a manifest with layers that have urls ({layers})",
        hints.FOREIGN,
        stages=PUSHING,
        statuses=(400, 500),
        codes=("UNKNOWN", "MANIFEST_INVALID"),
        foreign=True,
        temporary=False,
    ),
    RefusalRow(
        TypeRefused,
        "the registry refused a manifest with layers that have urls",
        hints.FOREIGN,
        words=r"invalid URL on layer|unexpected (?:foreign )?URL on layer",
    ),
    RefusalRow(
        QuotaExceeded,
        "the quota of repositories is exceeded",
        hints.REPOSITORIES,
        stages=_WRITING,
        words=r"contains \d+ repositor\w+, limit is|private repositor\w+ .{0,20}(?:limit|quota)"
        r"|no more private repositories",
        closes="nothing",
    ),
    RefusalRow(
        QuotaExceeded,
        "the repository has reached its limit of images",
        hints.IMAGES,
        stages=_WRITING,
        words=r"maximum (?:allowed )?number of (?:images|tags)|LimitExceeded",
        closes="repository",
    ),
    RefusalRow(
        QuotaExceeded,
        "quota exceeded",
        hints.QUOTA,
        stages=_WRITING,
        words=r"exceed the configured upper limit|quotas?\b.{0,40}\b(?:exceed|reached|full|hit)"
        r"|exceed\w*\b.{0,40}\bquota|(?:over|out of) (?:\w+ )?quota|(?:not enough|no) quota"
        r"|storage (?:size )?(?:limit|quota)|(?:storage|plan|size) limit .{0,30}(?:exceed|reached)",
    ),
    RefusalRow(QuotaExceeded, "quota exceeded", hints.QUOTA, stages=PUSHING, statuses=(402,)),
    RefusalRow(
        ReadOnly,
        "the registry is read-only",
        hints.REGISTRY_READ_ONLY,
        stages=_WRITING,
        words=r"(?:system|registry|server) is (?:currently )?(?:in )?(?:a )?read[- ]?only"
        r"|pushes to the registry are .{0,20}disabled",
        closes="registry",
    ),
    RefusalRow(
        ReadOnly,
        "the destination is read-only",
        hints.READ_ONLY,
        stages=_WRITING,
        words=r"\bread[- ]?only\b(?! (?:token|access|user|account|credential|key|role|permission))"
        r"|namespace is disabled",
    ),
    RefusalRow(
        ReadOnly,
        "the destination is a group of repositories",
        hints.GROUP,
        stages=_WRITING,
        words=r"deploying to groups",
    ),
    RefusalRow(
        AccessDenied,
        "access denied",
        hints.OVERWRITE,
        stages=_WRITING,
        words=r"permissions? to (?:delete/)?overwrite|needs DELETE permission",
    ),
    RefusalRow(
        TagImmutable,
        "the image or its repository is locked",
        hints.LOCKED,
        stages=_WRITING,
        words=r"operation is disallowed",
    ),
    RefusalRow(
        TagImmutable,
        "this tag cannot be changed there",
        hints.IMMUTABLE,
        stages=_WRITING,
        codes=("TAG_ALREADY_EXISTS",),
    ),
    RefusalRow(
        TagImmutable,
        "this tag cannot be changed there",
        hints.IMMUTABLE,
        stages=_WRITING,
        words=r"immutab|cannot (?:be )?(?:overwrit|updat|chang|modif)\w*|tag\b.{0,120}already"
        r" (?:exists|pushed)|does not allow updating|tag was already pushed",
    ),
    RefusalRow(
        TagImmutable,
        "this tag cannot be changed there",
        hints.IMMUTABLE,
        stages=PUSHING,
        statuses=(412,),
    ),
    *(
        RefusalRow(
            RepositoryMissing,
            "the repository does not exist",
            hint,
            stages=PUSHING,
            codes=("NAME_UNKNOWN",),
            host=host,
        )
        for host, hint in hints.CREATING
    ),
    RefusalRow(
        RepositoryMissing,
        "the repository does not exist",
        hints.CREATING[-1][1],
        stages=PUSHING,
        statuses=(404,),
        words=r"(?:repository|project)\b.{0,160}(?:does not exist|not found)",
    ),
    *(row for media, hint in hints.TYPES for row in _refused(media, hint)),
    RefusalRow(
        TypeRefused,
        "the registry does not store {media_type}",
        hints.TYPE,
        stages=_WRITING,
        words=r"StatusCode: 415|unsupported media ?type|fail to parse 'manifest\.json'",
    ),
    RefusalRow(
        UnknownFailure,
        "the registry reports a missing blob",
        hints.VANISHED,
        stages=PUSHING,
        codes=("MANIFEST_BLOB_UNKNOWN",),
    ),
    RefusalRow(
        UnknownFailure,
        "the registry reports a missing blob",
        hints.VANISHED,
        stages=PUSHING,
        codes=("BLOB_UNKNOWN",),
        media=r".",
    ),
    RefusalRow(
        UnknownFailure,
        stages=frozenset({Stage.TOOL}),
        words=r"manifest blob unknown|blob unknown to registry",
        hint=hints.VANISHED,
    ),
)
