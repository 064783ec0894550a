"""What a tool's stderr means: exit codes say nothing, so its own words decide.

Here the words are found; what they mean is decided by the table of refusals
(`image_tools/refusals/`).
"""

from __future__ import annotations

import re

from image_tools.errors import ImageToolsError, UnknownFailure
from image_tools.refusals.case import Case, Stage
from image_tools.refusals.classify import classify
from image_tools.refusals.names import place_of
from image_tools.tools.words import last_line, plain, readable

_MEMORY = "the machine was probably out of memory: add memory, or lower -j"
# Recorded on skopeo 1.9.3 and buildx 0.29.1; newer ones spell a few of them differently.
_STATUS = re.compile(
    r"(?:StatusCode:|HTTP status:|status code from registry) ([1-5]\d\d)\b"
    r"|\b([45]\d\d) \(?(?:Internal|Bad|Service|Gateway|Forbidden|Not |Unauthorized|Too|Request"
    r"|Precondition|Method|Insufficient|Unsupported|Proxy|Conflict|Payment)",
    re.IGNORECASE,
)
_PUSHING = re.compile(
    r"initiating layer upload|uploading (?:layer|manifest)|writing (?:blob|manifest)"
    r"|\b(?:Patch|Put) [\"…]|(?:PUT|POST|PATCH) request|failed commit on ref|failed to push"
    r"|exists in …"
)
_READING = re.compile(r"happened during read")
_LOGIN = re.compile(
    r"requesting bearer token|retrieve auth token|failed to authorize"
    r"|failed to fetch (?:anonymous|oauth) token|logging into",
    re.IGNORECASE,
)
_PAGE = re.compile(r"<!doctype|<html", re.IGNORECASE)
# The descriptions of the error codes of the distribution spec, which tools print in their place.
_CODES = (
    "manifest blob unknown",
    "manifest unknown",
    "manifest invalid",
    "blob unknown",
    "name unknown",
    "digest invalid",
    "tag invalid",
    "toomanyrequests",
    "unsupported",
    "denied",
    "unauthorized",
)


def diagnose(
    stderr: str, reference: str, *, returncode: int | None = None, tool: str = "skopeo"
) -> ImageToolsError:
    """The error that `stderr` of a failed `tool` means, about the user's `reference`.

    For when the exchange saw no cause of its own. The message is the reference and the tool's own
    words, without addresses of the exchange and without what URLs carry. A negative `returncode`
    is the signal that ended the tool.
    """
    if returncode is not None and returncode < 0:
        return UnknownFailure(
            f"{reference}: {tool} was killed by signal {-returncode}",
            advice=_MEMORY if returncode == -9 else None,
        )
    words = last_line(stderr)
    if not words:
        return UnknownFailure(f"{reference}: {tool} failed{_code(returncode)} and gave no reason")
    verdict = classify(_case(plain(words, reference), reference))
    return verdict.error(f"{reference}: {readable(words, reference)}")


def _case(text: str, reference: str) -> Case:
    """Return what the words of a tool, without names, tell about what it was refused."""
    registry, repository, _ = place_of(reference)
    status = _STATUS.search(text)
    said = text.lower()
    return Case(
        stages=frozenset({Stage.TOOL, Stage.CONNECTING, _stage(text)}),
        status=int(status[1] or status[2]) if status else None,
        code=next((c.upper().replace(" ", "_") for c in _CODES if c in said), ""),
        words=text,
        is_page=_PAGE.search(text) is not None,
        registry=registry,
        repository=repository,
    )


def _stage(text: str) -> Stage:
    if _LOGIN.search(text):
        return Stage.LOGIN
    pushes = _PUSHING.search(text) and not _READING.search(text)
    return Stage.PUSHING if pushes else Stage.READING


def _code(returncode: int | None) -> str:
    return "" if returncode is None else f" with exit code {returncode}"
