"""What a tool's stderr means: exit codes say nothing, so a table over its own words decides."""

from __future__ import annotations

import re
from dataclasses import dataclass

from image_tools.errors import (
    AccessDenied,
    DigestMismatch,
    DiskFull,
    ImageToolsError,
    InvalidManifest,
    NotFound,
    PlatformMissing,
    PolicyRejected,
    RateLimited,
    TimedOut,
    TlsProblem,
    ToolTooOld,
    Unauthorized,
    Unavailable,
    UnknownFailure,
)
from image_tools.tools.skopeo import CANNOT_KEEP
from image_tools.tools.words import last_line, plain, readable


@dataclass(frozen=True, slots=True)
class _Rule:
    """`temporary` and `advice` replace those of `kind` where they are given."""

    pattern: re.Pattern[str]
    kind: type[ImageToolsError]
    temporary: bool | None = None
    advice: str | None = None


def _rule(
    pattern: str,
    kind: type[ImageToolsError],
    advice: str | None = None,
    *,
    temporary: bool | None = None,
) -> _Rule:
    return _Rule(re.compile(pattern, re.IGNORECASE | re.DOTALL), kind, temporary, advice)


_PORTAL = "look for a proxy or a login page between here and the registry"
_UNSUITABLE = "this looks like a bug in how the tool was called: run again with --debug"
_MEMORY = "the machine was probably out of memory: give it more, or lower -j"

# The first match wins, so the order is part of the table. Recorded on skopeo 1.9.3 and buildx
# 0.29.1 (facts/libraries.md sections 4, 11 and 12); newer ones spell a few of them differently.
_RULES = (
    _rule(r"no space left on device|disk quota exceeded|\b507\b", DiskFull),
    _rule(CANNOT_KEEP, UnknownFailure, temporary=False),
    _rule(r"unknown (?:shorthand )?flag", ToolTooOld, "install a newer one: it lacks this option"),
    _rule(r"rejected by policy|Source image rejected|loading trust policy", PolicyRejected),
    _rule(
        r"reading JSON file|executable file not found|reading username: EOF",
        Unauthorized,
        "repair the login file or the credential helper that is named here",
    ),
    _rule(
        r"too many open files",
        UnknownFailure,
        "raise the limit of open files (ulimit -n), or lower -j",
    ),
    _rule(
        r"no such file or directory|no descriptor found for reference"
        r"|(?:open|mkdir|l?stat|write) …: permission denied",
        UnknownFailure,
        "look at the files that are named here",
        temporary=False,
    ),
    _rule(
        r"invalid (?:source|destination) name|invalid reference format|must be lowercase"
        r"|both a tag and digest|unknown transport|no tags specified|no sources specified",
        UnknownFailure,
        _UNSUITABLE,
        temporary=False,
    ),
    _rule(
        r"no image found in (?:image index|manifest list) for architecture"
        r"|none of the manifests match the provided platforms",
        PlatformMissing,
    ),
    _rule(r"toomanyrequests|too many requests|\b429\b", RateLimited),
    _rule(r"TLS handshake timeout|context deadline exceeded|i/o timeout|Client\.Timeout", TimedOut),
    _rule(
        r"x509:|\btls: |look like a TLS handshake|HTTP response to HTTPS client"
        r"|HTTP request to an HTTPS server",
        TlsProblem,
    ),
    _rule(
        r"(?:StatusCode:|HTTP status:|status code from registry) 5\d\d"
        r"|\b5\d\d \(?(?:Internal|Bad Gateway|Service|Gateway)"
        r"|connection reset|connection refused|broken pipe|unexpected EOF|: EOF$|^EOF$|short read"
        r"|malformed HTTP|V1 container registry|no route to host|network is unreachable",
        Unavailable,
    ),
    _rule(
        r"no such host|server misbehaving|name resolution",
        Unavailable,
        "check the registry's name and this machine's name service",
    ),
    _rule(
        r"content descriptor \S+ \(text/html\)|invalid character '<'"
        r"|pinging container registry \S+: invalid status code from registry 404",
        Unavailable,
        _PORTAL,
        temporary=False,
    ),
    _rule(
        r"Digest did not match|does not match expected|not match provided manifest digest"
        r"|got digest|unexpected commit (?:digest|size)|digest invalid",
        DigestMismatch,
    ),
    _rule(
        r"unauthorized|authentication required|invalid username/password"
        r"|no basic auth credentials|failed to authorize|error getting credentials"
        r"|requesting bearer token",
        Unauthorized,
    ),
    _rule(
        r"immutable",
        AccessDenied,
        "this tag may not be changed there: choose another, or ask for the rule to be lifted",
    ),
    _rule(
        r"(?:initiating layer upload|uploading) .*name unknown",
        NotFound,
        "create the project or repository at the destination first",
    ),
    _rule(r"\bdenied\b|403 \(?Forbidden|StatusCode: 403", AccessDenied),
    _rule(
        r"manifest blob unknown|blob unknown to registry",
        UnknownFailure,
        "a blob vanished at the destination: run again, it will be uploaded anew",
    ),
    _rule(
        r"manifest unknown|name unknown|404 \(?Not Found|StatusCode: 404"
        r"|: not found\b|\bnot found$",
        NotFound,
    ),
    _rule(
        r"manifest invalid|no FSLayers|unsupported schema version|invalid character"
        r"|unexpected end of JSON input",
        InvalidManifest,
    ),
    _rule(
        r"StatusCode: 413|\b413 \(?Request|too large",
        UnknownFailure,
        "raise the limit of the proxy before the registry (nginx: client_max_body_size)",
        temporary=False,
    ),
    _rule(
        r"\bunsupported\b|\b4\d\d \(?[A-Z]",
        UnknownFailure,
        "the registry does not allow this: it may be a read-only mirror",
        temporary=False,
    ),
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
    message = f"{reference}: {readable(words, reference)}"
    text = plain(words, reference)
    for rule in _RULES:
        if rule.pattern.search(text):
            return _made(rule, message)
    return UnknownFailure(message)


def _made(rule: _Rule, message: str) -> ImageToolsError:
    error = rule.kind(message, advice=rule.advice)
    if rule.temporary is not None:
        error.temporary = rule.temporary
    return error


def _code(returncode: int | None) -> str:
    return "" if returncode is None else f" with exit code {returncode}"
