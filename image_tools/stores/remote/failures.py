"""An answer of a registry that is no success: what it says, and the error to raise for it.

What it means is decided by the table of refusals (`image_tools/refusals/`).
"""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from image_tools.errors import CopyFailed, ImageToolsError, RateLimited
from image_tools.refusals.case import Case, Stage, place_of, without_names
from image_tools.refusals.classify import classify

_LONGEST_WORDS = 300
# Whatever a page or an error says in its first letters decides; the rest may be megabytes.
_MOST_READ = 4000
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(r"<style.*?</style>|<script.*?</script>|<[^>]*>", re.IGNORECASE | re.DOTALL)


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
        """Status, code, message and detail on one line, as the registry gave them."""
        if self.is_page:
            title = _TITLE.search(self._text)
            said = f"{self.status}, answered with a web page"
            return f"{said}: {_line(title[1])}"[:_LONGEST_WORDS] if title else said
        message = self._error("message") or self._detail()
        detail = self._error("detail")
        more = detail if detail.lower() not in f"{self.code} {message}".lower() else ""
        said = ": ".join(part for part in (self.code, message, more) if part)
        return f"{self.status} {said}".strip()[:_LONGEST_WORDS]

    @property
    def everything(self) -> str:
        """Return all that was said, to look for words in: details and further errors too."""
        if self.is_page:
            return f"{self.words} {_line(_TAGS.sub(' ', self._text))}"
        return f"{self.words} {_line(self._text, _MOST_READ)}"

    @property
    def is_of_a_proxy(self) -> bool:
        """Return whether the answer names a forward proxy as its author."""
        return "Proxy-Authenticate" in self.headers or "X-Squid-Error" in self.headers

    @property
    def _text(self) -> str:
        return self.body[:_MOST_READ].decode("utf-8", "replace")

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was under way when an answer came; for a manifest that is pushed its type and bytes.

    `proxied`: a proxy that can read the request stands between here and the registry.
    """

    stage: Stage = Stage.READING
    media_type: str = ""
    manifest: bytes = field(default=b"", repr=False)
    proxied: bool = False


def failure(
    refusal: Refusal,
    reference: str,
    *,
    doing: str = "",
    pushing: bool = False,
    asked: Asked | None = None,
) -> ImageToolsError:
    """Return the error for `refusal` of a request about `reference`; `doing` says what was tried.

    `asked` tells more about the request than that it was `pushing` or not.
    """
    asked = asked or Asked(stage=Stage.PUSHING if pushing else Stage.READING)
    registry, repository, _ = place_of(reference)
    verdict = classify(
        Case(
            stages=frozenset({asked.stage}),
            status=refusal.status,
            code=refusal.code,
            words=without_names(refusal.everything, reference),
            is_page=refusal.is_page,
            by_proxy=asked.proxied or refusal.is_of_a_proxy,
            registry=registry,
            repository=repository,
            media_type=asked.media_type,
            foreign=foreign_layers(asked.manifest),
        )
    )
    tried, wish = f"{doing}: " if doing else "", refusal.retry_after
    said = f"{verdict.said} ({refusal.words})"
    if wish is not None and issubclass(verdict.row.kind, RateLimited):
        said = f"{said}, retry after {wish:.0f} s"
    error = verdict.error(f"{reference}: {tried}{said}", status=refusal.status)
    if isinstance(error, CopyFailed):
        error.retry_after, error.code = wish, refusal.code
    return error


def foreign_layers(manifest: bytes) -> tuple[str, ...]:
    """Return the digests of the layers of a manifest that have `urls`: they lie somewhere else."""
    document = _json(manifest)
    layers = document.get("layers") if isinstance(document, dict) else None
    return tuple(
        _line(layer["digest"])
        for layer in (layers if isinstance(layers, list) else ())
        if isinstance(layer, dict) and layer.get("urls") and isinstance(layer.get("digest"), str)
    )


def permanent(error: CopyFailed) -> CopyFailed:
    """The same error, not to be repeated."""
    error.temporary = False
    return error


def about(error: ImageToolsError, reference: str, registry: str) -> ImageToolsError:
    """A copy of `error`, which many share, for one reference."""
    return error.copied(f"{reference}: {error.message.removeprefix(f'{registry}: ')}")


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


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _line(text: str, most: int = _LONGEST_WORDS) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:most]
