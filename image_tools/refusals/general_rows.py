"""Rows of the table: statuses, codes and common words by themselves."""

from __future__ import annotations

from image_tools.errors import (
    AccessDenied,
    DigestMismatch,
    InvalidManifest,
    NotFound,
    ReadOnly,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnknownFailure,
)
from image_tools.refusals import hints
from image_tools.refusals.case import Stage
from image_tools.refusals.row import RefusalRow

_TOOL = frozenset({Stage.TOOL})
_PUSHING = frozenset({Stage.PUSHING})
_LOGIN = frozenset({Stage.LOGIN})
_FOURS = range(400, 500)
_FIVES = range(500, 600)
_NO_ANSWERS = range(400)
_NO_FAILURES = range(500)

_DELETING = frozenset({Stage.DELETING})

GENERAL = (
    RefusalRow(
        kind=AccessDenied,
        stages=_DELETING,
        statuses=(405, 501),
        said="the registry does not allow deleting",
        hint=hints.DELETING,
    ),
    RefusalRow(
        kind=DigestMismatch, codes=("DIGEST_INVALID",), said="the registry received different bytes"
    ),
    RefusalRow(
        kind=DigestMismatch,
        stages=_TOOL,
        words=r"Digest did not match|does not match expected|not match provided manifest digest"
        r"|got digest|unexpected commit (?:digest|size)|digest invalid",
    ),
    RefusalRow(
        kind=UnknownFailure,
        statuses=(413,),
        said="the request is too large for the registry or its proxy",
        hint=hints.TOO_LARGE,
        temporary=False,
    ),
    RefusalRow(
        kind=Unavailable,
        stages=_TOOL,
        words=r"content descriptor \S+ \(text/html\)|invalid character '<'"
        r"|pinging container registry \S+: invalid status code from registry 404",
        hint=hints.NO_REGISTRY,
        temporary=False,
    ),
    RefusalRow(kind=Unavailable, statuses=_FIVES, said="the registry failed"),
    RefusalRow(kind=Unauthorized, stages=_LOGIN, said="authentication failed"),
    RefusalRow(kind=Unauthorized, statuses=(401,), said="not logged in"),
    RefusalRow(kind=TimedOut, statuses=(408,), said="timed out"),
    RefusalRow(
        kind=Unavailable,
        statuses=(403,),
        pages=True,
        said="this is not a registry",
        hint=hints.NO_REGISTRY,
        temporary=False,
    ),
    RefusalRow(
        kind=Unavailable,
        statuses=_NO_FAILURES,
        pages=True,
        said="this is not a registry",
        hint=hints.NO_REGISTRY,
    ),
    RefusalRow(
        kind=Unavailable, statuses=_NO_ANSWERS, said="unexpected answer", hint=hints.NO_REGISTRY
    ),
    RefusalRow(
        kind=AccessDenied,
        statuses=(403, 412),
        words=r"due to configured policy|PROJECTPOLICYVIOLATION|vulnerabilit",
        said="the policy of the project refuses this image",
        hint=hints.PROJECT_POLICY,
    ),
    RefusalRow(kind=UnknownFailure, statuses=(412,), hint=hints.PROJECT_POLICY, temporary=False),
    RefusalRow(kind=AccessDenied, statuses=(403,), said="access denied"),
    RefusalRow(kind=NotFound, statuses=(404,), said="not found"),
    RefusalRow(
        kind=InvalidManifest,
        stages=_PUSHING,
        codes=("MANIFEST_INVALID",),
        said="the registry refused the manifest",
        hint=hints.MANIFEST,
    ),
    RefusalRow(
        kind=InvalidManifest,
        stages=_PUSHING,
        statuses=(405,),
        words=r"ImageManifest|invalid parameter|invalid manifest",
        said="the registry refused the manifest",
        hint=hints.MANIFEST,
    ),
    RefusalRow(
        kind=ReadOnly,
        stages=_PUSHING,
        statuses=(405,),
        media=r".",
        said="the destination is read-only",
        hint=hints.NO_PUSHES,
        closes="nothing",
    ),
    RefusalRow(
        kind=ReadOnly,
        stages=_PUSHING,
        statuses=(405,),
        said="the destination is read-only",
        hint=hints.NO_PUSHES,
        closes="repository",
    ),
    RefusalRow(
        kind=ReadOnly,
        stages=_PUSHING,
        codes=("UNSUPPORTED",),
        said="the destination is read-only",
        hint=hints.NO_PUSHES,
        closes="repository",
    ),
    RefusalRow(
        kind=Unauthorized,
        stages=_TOOL,
        words=r"unauthorized|authentication required|invalid username/password"
        r"|no basic auth credentials|failed to authorize|error getting credentials",
    ),
    RefusalRow(kind=AccessDenied, stages=_TOOL, words=r"\bdenied\b"),
    RefusalRow(
        kind=NotFound,
        stages=_TOOL,
        words=r"manifest unknown|name unknown|: not found\b|\bnot found$",
    ),
    RefusalRow(
        kind=InvalidManifest,
        stages=_TOOL,
        words=r"manifest invalid|no FSLayers|unsupported schema version|invalid character"
        r"|unexpected end of JSON input",
    ),
    RefusalRow(
        kind=UnknownFailure, stages=_TOOL, words=r"too large", hint=hints.TOO_LARGE, temporary=False
    ),
    RefusalRow(
        kind=UnknownFailure,
        stages=_TOOL,
        words=r"\bunsupported\b",
        hint=hints.UNSUPPORTED,
        temporary=False,
    ),
    RefusalRow(kind=UnknownFailure, statuses=_FOURS, temporary=False),
)
