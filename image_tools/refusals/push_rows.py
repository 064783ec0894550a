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
from image_tools.refusals.row import RefusalRow

_PUSHING = frozenset({Stage.PUSHING})
_WRITING = frozenset({Stage.PUSHING, Stage.DELETING, Stage.TOOL})

_RATE = r"toomanyrequests|too many requests|rate exceeded|rate limit|per minute"


def _limited(hint: str = "", stages: frozenset[Stage] = frozenset()) -> tuple[RefusalRow, ...]:
    """Return the rows for a rate limit: by status, by code and by words."""
    said = "too many requests"
    codes = ("TOOMANYREQUESTS",)
    return (
        RefusalRow(kind=RateLimited, stages=stages, statuses=(429,), said=said, hint=hint),
        RefusalRow(kind=RateLimited, stages=stages, codes=codes, said=said, hint=hint),
        RefusalRow(kind=RateLimited, stages=stages, words=_RATE, said=said, hint=hint),
    )


LIMITS = (*_limited(hints.PUSH_RATE, _PUSHING), *_limited())


def _refused(media: str, hint: str) -> tuple[RefusalRow, ...]:
    """Return the rows for a refused `media` type: by status, and by words."""
    said = "the registry does not store {media_type}"
    return (
        RefusalRow(
            kind=TypeRefused, stages=_PUSHING, statuses=(415,), media=media, said=said, hint=hint
        ),
        RefusalRow(
            kind=TypeRefused,
            stages=_PUSHING,
            statuses=(400, 406, 422),
            words=r"media ?type|fail to parse 'manifest\.json'|schema ?version",
            media=media,
            said=said,
            hint=hint,
        ),
    )


PUSHES = (
    RefusalRow(
        kind=TypeRefused,
        stages=_PUSHING,
        statuses=(400, 500),
        codes=("UNKNOWN", "MANIFEST_INVALID"),
        foreign=True,
        said="the registry refused a manifest with layers that have urls ({layers})",
        hint=hints.FOREIGN,
        temporary=False,
    ),
    RefusalRow(
        kind=TypeRefused,
        words=r"invalid URL on layer|unexpected (?:foreign )?URL on layer",
        said="the registry refused a manifest with layers that have urls",
        hint=hints.FOREIGN,
    ),
    RefusalRow(
        kind=QuotaExceeded,
        stages=_WRITING,
        words=r"contains \d+ repositor\w+, limit is|private repositor\w+ .{0,20}(?:limit|quota)"
        r"|no more private repositories",
        said="the quota of repositories is exceeded",
        hint=hints.REPOSITORIES,
        closes="nothing",
    ),
    RefusalRow(
        kind=QuotaExceeded,
        stages=_WRITING,
        words=r"maximum (?:allowed )?number of (?:images|tags)|LimitExceeded",
        said="the repository has reached its limit of images",
        hint=hints.IMAGES,
        closes="repository",
    ),
    RefusalRow(
        kind=QuotaExceeded,
        stages=_WRITING,
        words=r"exceed the configured upper limit|quotas?\b.{0,40}\b(?:exceed|reached|full|hit)"
        r"|exceed\w*\b.{0,40}\bquota|(?:over|out of) (?:\w+ )?quota|(?:not enough|no) quota"
        r"|storage (?:size )?(?:limit|quota)|(?:storage|plan|size) limit .{0,30}(?:exceed|reached)",
        said="quota exceeded",
        hint=hints.QUOTA,
    ),
    RefusalRow(
        kind=QuotaExceeded,
        stages=_PUSHING,
        statuses=(402,),
        said="quota exceeded",
        hint=hints.QUOTA,
    ),
    RefusalRow(
        kind=ReadOnly,
        stages=_WRITING,
        words=r"(?:system|registry|server) is (?:currently )?(?:in )?(?:a )?read[- ]?only"
        r"|pushes to the registry are .{0,20}disabled",
        said="the registry is read-only",
        hint=hints.REGISTRY_READ_ONLY,
        closes="registry",
    ),
    RefusalRow(
        kind=ReadOnly,
        stages=_WRITING,
        words=r"\bread[- ]?only\b(?! (?:token|access|user|account|credential|key|role|permission))"
        r"|namespace is disabled",
        said="the destination is read-only",
        hint=hints.READ_ONLY,
    ),
    RefusalRow(
        kind=ReadOnly,
        stages=_WRITING,
        words=r"deploying to groups",
        said="the destination is a group of repositories",
        hint=hints.GROUP,
    ),
    RefusalRow(
        kind=AccessDenied,
        stages=_WRITING,
        words=r"permissions? to (?:delete/)?overwrite|needs DELETE permission",
        said="access denied",
        hint=hints.OVERWRITE,
    ),
    RefusalRow(
        kind=TagImmutable,
        stages=_WRITING,
        words=r"operation is disallowed",
        said="the image or its repository is locked",
        hint=hints.LOCKED,
    ),
    RefusalRow(
        kind=TagImmutable,
        stages=_WRITING,
        codes=("TAG_ALREADY_EXISTS",),
        said="this tag cannot be changed there",
        hint=hints.IMMUTABLE,
    ),
    RefusalRow(
        kind=TagImmutable,
        stages=_WRITING,
        words=r"immutab|cannot (?:be )?(?:overwrit|updat|chang|modif)\w*|tag\b.{0,120}already"
        r" (?:exists|pushed)|does not allow updating|tag was already pushed",
        said="this tag cannot be changed there",
        hint=hints.IMMUTABLE,
    ),
    RefusalRow(
        kind=TagImmutable,
        stages=_PUSHING,
        statuses=(412,),
        said="this tag cannot be changed there",
        hint=hints.IMMUTABLE,
    ),
    *(
        RefusalRow(
            kind=RepositoryMissing,
            stages=_PUSHING,
            codes=("NAME_UNKNOWN",),
            host=host,
            said="the repository does not exist",
            hint=hint,
        )
        for host, hint in hints.CREATING
    ),
    RefusalRow(
        kind=RepositoryMissing,
        stages=_PUSHING,
        statuses=(404,),
        words=r"(?:repository|project)\b.{0,160}(?:does not exist|not found)",
        said="the repository does not exist",
        hint=hints.CREATING[-1][1],
    ),
    *(row for media, hint in hints.TYPES for row in _refused(media, hint)),
    RefusalRow(
        kind=TypeRefused,
        stages=_WRITING,
        words=r"StatusCode: 415|unsupported media ?type|fail to parse 'manifest\.json'",
        said="the registry does not store {media_type}",
        hint=hints.TYPE,
    ),
    RefusalRow(
        kind=UnknownFailure,
        stages=_PUSHING,
        codes=("MANIFEST_BLOB_UNKNOWN",),
        said="the registry reports a missing blob",
        hint=hints.VANISHED,
    ),
    RefusalRow(
        kind=UnknownFailure,
        stages=_PUSHING,
        codes=("BLOB_UNKNOWN",),
        media=r".",
        said="the registry reports a missing blob",
        hint=hints.VANISHED,
    ),
    RefusalRow(
        kind=UnknownFailure,
        stages=frozenset({Stage.TOOL}),
        words=r"manifest blob unknown|blob unknown to registry",
        hint=hints.VANISHED,
    ),
)
