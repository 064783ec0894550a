"""What an answer of a registry that is no success means, in our words and its own."""

from __future__ import annotations

import copy
import email.utils
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from image_tools.errors import (
    AccessDenied,
    CopyFailed,
    DigestMismatch,
    DiskFull,
    ImageToolsError,
    NotFound,
    RateLimited,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnknownFailure,
)

_LONGEST_WORDS = 300
_MISMATCH_CODES = frozenset({"DIGEST_INVALID"})
_FULL_WORDS = ("no space left", "insufficient storage", "disk quota")
_PLAIN_REFUSALS = frozenset({401, 403, 408})
_SAID = {401: "not logged in", 403: "access denied", 404: "not found", 408: "timed out"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is no success: status, header fields, the first bytes of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def is_page(self) -> bool:
        """Whether the body is a web page, so that no registry spoke."""
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return kind == "text/html" or self.body.lstrip()[:14].lower().startswith(b"<!doctype html")

    @property
    def code(self) -> str:
        """The registry's own error code, `MANIFEST_UNKNOWN`; empty where it gave none."""
        return self._error("code").upper()

    @property
    def words(self) -> str:
        """Status, code and message on one line, as the registry gave them."""
        if self.is_page:
            return f"{self.status}, answered with a web page"
        message = self._error("message") or self._detail()
        said = ": ".join(part for part in (self.code, message) if part)
        return f"{self.status} {said}".strip()[:_LONGEST_WORDS]

    @property
    def retry_after(self) -> float | None:
        """The wish of the Retry-After field in seconds from now, None where there is none."""
        return retry_after(self.headers.get("Retry-After", ""), time.time())

    def _error(self, name: str) -> str:
        """A field of the first error of the body (distribution spec, "Error Codes")."""
        document = _json(self.body)
        errors = document.get("errors") if isinstance(document, dict) else None
        first = errors[0] if isinstance(errors, list) and errors else None
        value = first.get(name) if isinstance(first, dict) else None
        return _line(value) if isinstance(value, str) else ""

    def _detail(self) -> str:
        """The message of those who do not follow the specification."""
        document = _json(self.body)
        if isinstance(document, dict):
            named = (document.get(name) for name in ("message", "details", "error_description"))
            return next((_line(text) for text in named if isinstance(text, str)), "")
        return "" if self.code else _line(self.body.decode("utf-8", "replace"))


def failure(refusal: Refusal, reference: str, *, doing: str = "") -> ImageToolsError:
    """The error for `refusal` of a request about `reference`; `doing` says what was tried.

    Only a 404 of a registry means unknown: 401, 403, 429, 5xx and web pages are other failures.
    """
    status, code = refusal.status, refusal.code
    tried = f"{doing}: " if doing else ""
    text = f"{reference}: {tried}{_SAID.get(status, 'the registry refused')} ({refusal.words})"
    if code in _MISMATCH_CODES:
        return DigestMismatch(f"{reference}: {tried}the registry got other bytes ({refusal.words})")
    if status == 507 or any(words in refusal.words.lower() for words in _FULL_WORDS):
        return DiskFull(
            f"{reference}: {tried}no space at the registry ({refusal.words})", status=status
        )
    if status == 429 or code == "TOOMANYREQUESTS":
        return _limited(refusal, reference)
    if status == 413:
        return _too_large(refusal, reference, tried)
    if status >= 500:
        said = f"{reference}: {tried}the registry failed ({refusal.words})"
        return Unavailable(said, status=status, retry_after=refusal.retry_after)
    if status < 400 or (refusal.is_page and status not in _PLAIN_REFUSALS):
        return _not_a_registry(refusal, reference, tried)
    kind = {401: Unauthorized, 403: AccessDenied, 404: NotFound, 408: TimedOut}.get(status)
    if kind is None:
        return permanent(UnknownFailure(text, status=status))
    return kind(text, status=status, retry_after=refusal.retry_after)


def means_unknown(refusal: Refusal) -> bool:
    """Whether this answer says the content is unknown: a 404 that is no web page."""
    return refusal.status == 404 and not refusal.is_page


def permanent(error: CopyFailed) -> CopyFailed:
    """The same error, not to be repeated."""
    error.temporary = False
    return error


def about(error: ImageToolsError, reference: str, registry: str) -> ImageToolsError:
    """A copy of `error`, which many share, for one reference."""
    own = copy.copy(error)
    own.message = f"{reference}: {error.message.removeprefix(f'{registry}: ')}"
    own.args = (own.message,)
    return own


def retry_after(text: str, now: float) -> float | None:
    """Seconds a Retry-After field asks for (RFC 9110 section 10.2.3), `now` in epoch seconds."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    return max(0.0, moment.timestamp() - now)


def _limited(refusal: Refusal, reference: str) -> RateLimited:
    wish = refusal.retry_after
    asked = "" if wish is None else f", asks for {wish:.0f} s of rest"
    return RateLimited(
        f"{reference}: too many requests ({refusal.words}){asked}",
        status=refusal.status,
        retry_after=wish,
    )


def _too_large(refusal: Refusal, reference: str, tried: str) -> CopyFailed:
    said = "too large for the registry or a proxy before it"
    return permanent(
        UnknownFailure(
            f"{reference}: {tried}{said} ({refusal.words})",
            status=refusal.status,
            advice="raise the limit of the proxy before the registry (nginx: client_max_body_size)",
        )
    )


def _not_a_registry(refusal: Refusal, reference: str, tried: str) -> CopyFailed:
    said = "no registry answered" if refusal.is_page else "unexpected answer"
    return Unavailable(
        f"{reference}: {tried}{said} ({refusal.words})",
        status=refusal.status,
        advice="look for a proxy or a login page between here and the registry",
    )


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _line(text: str) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:_LONGEST_WORDS]
