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
from image_tools.refusals.row import FOURS, NO_ANSWERS, NO_FAILURES, PUSHING, TOOL, RefusalRow

_LOGIN = frozenset({Stage.LOGIN})
_FIVES = range(500, 600)

_DELETING = frozenset({Stage.DELETING})

GENERAL = (
    RefusalRow(
        AccessDenied,
        "the registry does not allow deleting",
        hints.DELETING,
        stages=_DELETING,
        statuses=(405, 501),
    ),
    RefusalRow(DigestMismatch, "the registry received different bytes", codes=("DIGEST_INVALID",)),
    RefusalRow(
        DigestMismatch,
        stages=TOOL,
        words=r"Digest did not match|does not match expected|not match provided manifest digest"
        r"|got digest|unexpected commit (?:digest|size)|digest invalid",
    ),
    RefusalRow(
        UnknownFailure,
        "the request is too large for the registry or its proxy",
        hints.TOO_LARGE,
        statuses=(413,),
        temporary=False,
    ),
    RefusalRow(
        Unavailable,
        stages=TOOL,
        words=r"content descriptor \S+ \(text/html\)|invalid character '<'"
        r"|pinging container registry \S+: invalid status code from registry 404",
        hint=hints.NO_REGISTRY,
        temporary=False,
    ),
    RefusalRow(Unavailable, "the registry failed", statuses=_FIVES),
    RefusalRow(Unauthorized, "authentication failed", stages=_LOGIN),
    RefusalRow(Unauthorized, "not logged in", statuses=(401,)),
    RefusalRow(TimedOut, "timed out", statuses=(408,)),
    RefusalRow(
        Unavailable,
        "this is not a registry",
        hints.NO_REGISTRY,
        statuses=(403,),
        pages=True,
        temporary=False,
    ),
    RefusalRow(
        Unavailable, "this is not a registry", hints.NO_REGISTRY, statuses=NO_FAILURES, pages=True
    ),
    RefusalRow(Unavailable, "unexpected answer", hints.NO_REGISTRY, statuses=NO_ANSWERS),
    RefusalRow(
        AccessDenied,
        "the policy of the project refuses this image",
        hints.PROJECT_POLICY,
        statuses=(403, 412),
        words=r"due to configured policy|PROJECTPOLICYVIOLATION|vulnerabilit",
    ),
    RefusalRow(UnknownFailure, statuses=(412,), hint=hints.PROJECT_POLICY, temporary=False),
    RefusalRow(AccessDenied, "access denied", statuses=(403,)),
    RefusalRow(NotFound, "not found", statuses=(404,)),
    RefusalRow(
        InvalidManifest,
        "the registry refused the manifest",
        hints.MANIFEST,
        stages=PUSHING,
        codes=("MANIFEST_INVALID",),
    ),
    RefusalRow(
        InvalidManifest,
        "the registry refused the manifest",
        hints.MANIFEST,
        stages=PUSHING,
        statuses=(405,),
        words=r"ImageManifest|invalid parameter|invalid manifest",
    ),
    RefusalRow(
        ReadOnly,
        "the destination is read-only",
        hints.NO_PUSHES,
        stages=PUSHING,
        statuses=(405,),
        media=r".",
        closes="nothing",
    ),
    RefusalRow(
        ReadOnly,
        "the destination is read-only",
        hints.NO_PUSHES,
        stages=PUSHING,
        statuses=(405,),
        closes="repository",
    ),
    RefusalRow(
        ReadOnly,
        "the destination is read-only",
        hints.NO_PUSHES,
        stages=PUSHING,
        codes=("UNSUPPORTED",),
        closes="repository",
    ),
    RefusalRow(
        Unauthorized,
        stages=TOOL,
        words=r"unauthorized|authentication required|invalid username/password"
        r"|no basic auth credentials|failed to authorize|error getting credentials",
    ),
    RefusalRow(AccessDenied, stages=TOOL, words=r"\bdenied\b"),
    RefusalRow(
        NotFound, stages=TOOL, words=r"manifest unknown|name unknown|: not found\b|\bnot found$"
    ),
    RefusalRow(
        InvalidManifest,
        stages=TOOL,
        words=r"manifest invalid|no FSLayers|unsupported schema version|invalid character"
        r"|unexpected end of JSON input",
    ),
    RefusalRow(
        UnknownFailure, stages=TOOL, words=r"too large", hint=hints.TOO_LARGE, temporary=False
    ),
    RefusalRow(
        UnknownFailure,
        stages=TOOL,
        words=r"\bunsupported\b",
        hint=hints.UNSUPPORTED,
        temporary=False,
    ),
    RefusalRow(UnknownFailure, statuses=FOURS, temporary=False),
)
