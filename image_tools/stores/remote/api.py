"""A request to a registry's API, and its answer read to the end."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from multidict import CIMultiDictProxy
from yarl import URL

from image_tools.errors import InvalidReference, one_line
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import MAXIMUM_MANIFEST_SIZE
from image_tools.web.address import endpoint
from image_tools.web.body import StreamBody

_LONGEST_WORDS = 300
# The first letters of a page or an error are enough; the rest may be megabytes.
_MOST_READ = 4000
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(r"<style.*?</style>|<script.*?</script>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")


class Counts(Enum):
    """How a registry's pull limit counts a request whose answer reports that limit."""

    NOTHING = "nothing"
    HEAD = "head"
    PULL = "pull"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """A request, before scheme, Authorization header and pace are settled.

    `path` follows `/v2/`; `url` is the whole address where the registry named it. `reference` and
    `doing` are what errors call the content and the action. `expected` are the statuses that are
    no failure. `push` asks for the right to write, `origin` for the right to read another
    repository too. `is_slow`: the answer may take minutes, as at the end of an upload. `counts`
    says what a pull limit makes of it. `limit` bounds the answer in bytes.
    """

    method: str
    repository: str
    reference: str
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    url: URL | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | StreamBody | None = field(default=None, repr=False)
    expected: frozenset[int] = frozenset({200})
    doing: str = ""
    push: bool = False
    origin: str | None = None
    is_slow: bool = False
    counts: Counts = Counts.NOTHING
    limit: int = MAXIMUM_MANIFEST_SIZE

    @property
    def can_repeat(self) -> bool:
        """Return whether it can be sent again: nothing was taken from a streamed body yet."""
        return not (isinstance(self.body, StreamBody) and self.body.started)

    def accepts(self, answer: ApiAnswer) -> bool:
        """Return whether `answer` is expected; a web page with a status below 300 never is."""
        return answer.status in self.expected and not (answer.status < 300 and answer.is_page)

    def address(self, root: URL) -> URL:
        """Return the URL of the request at a registry whose root is `root`."""
        return self.url or endpoint(root, self.path, **self.query)


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """An answer: status, header fields, body, and the URL it came from after redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    url: URL = field(default_factory=URL)

    @property
    def is_page(self) -> bool:
        """Return whether the body is a web page, which no registry sends."""
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return kind == "text/html" or self.body.lstrip()[:14].lower().startswith(b"<!doctype html")

    @property
    def is_of_a_proxy(self) -> bool:
        """Return whether the answer names a forward proxy as its author."""
        return "Proxy-Authenticate" in self.headers or "X-Squid-Error" in self.headers

    @property
    def code(self) -> str:
        """Return the registry's error code, such as `MANIFEST_UNKNOWN`; empty without one."""
        return self._error("code").upper()

    @property
    def words(self) -> str:
        """Return status, code, message and detail on one line, as the registry sent them."""
        if self.is_page:
            title = _TITLE.search(self._text)
            said = f"{self.status}, answered with a web page"
            return f"{said}: {bounded_line(title[1])}"[:_LONGEST_WORDS] if title else said
        message = self._error("message") or self._detail()
        detail = self._error("detail")
        more = detail if detail.lower() not in f"{self.code} {message}".lower() else ""
        said = ": ".join(part for part in (self.code, message, more) if part)
        return f"{self.status} {said}".strip()[:_LONGEST_WORDS]

    @property
    def everything(self) -> str:
        """Return all text of the answer, details and further errors included, for searching."""
        if self.is_page:
            return f"{self.words} {bounded_line(_TAGS.sub(' ', self._text))}"
        return f"{self.words} {bounded_line(self._text, _MOST_READ)}"

    @property
    def retry_after(self) -> float | None:
        """Return the Retry-After field in seconds from now, None without one."""
        return retry_after(self.headers.get("Retry-After", ""), time.time())

    @property
    def digest(self) -> Digest | None:
        """Return the Docker-Content-Digest, None if it is missing or of an unknown algorithm."""
        try:
            return Digest.parse(self.headers.get("Docker-Content-Digest", ""))
        except InvalidReference:
            return None

    @property
    def length(self) -> int | None:
        """Return the Content-Length in bytes, None without one."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    @property
    def media_type(self) -> str:
        """Return the Content-Type without parameters; empty if it is malformed (RFC 6838, 4.2)."""
        stated = self.headers.get("Content-Type", "").partition(";")[0].strip()
        return stated if _MEDIA_TYPE.fullmatch(stated) else ""

    def fields(self, name: str) -> tuple[str, ...]:
        """Return all header fields of this name, in order."""
        headers = self.headers
        found = headers.getall(name, []) if isinstance(headers, CIMultiDictProxy) else ()
        return tuple(found) or tuple(filter(None, (headers.get(name),)))

    @property
    def _text(self) -> str:
        return self.body[:_MOST_READ].decode("utf-8", "replace")

    def _error(self, name: str) -> str:
        """Return a field of the first error of the body (distribution spec, "Error Codes")."""
        document = json_of(self.body)
        errors = document.get("errors") if isinstance(document, dict) else None
        first = errors[0] if isinstance(errors, list) and errors else None
        value = first.get(name) if isinstance(first, dict) else None
        return bounded_line(value) if isinstance(value, str) else ""

    def _detail(self) -> str:
        """Return the message of a server that does not follow the distribution spec."""
        document = json_of(self.body)
        if isinstance(document, dict):
            named = (document.get(name) for name in ("message", "details", "error_description"))
            return next((bounded_line(text) for text in named if isinstance(text, str)), "")
        return "" if self.code else bounded_line(self.body.decode("utf-8", "replace"))


def retry_after(text: str, now: float) -> float | None:
    """Return a Retry-After field in seconds after `now` (epoch seconds); RFC 9110, 10.2.3."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    return max(0.0, moment.timestamp() - now)


def json_of(body: bytes) -> object:
    """Return the JSON value in `body`, None where there is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def bounded_line(text: str, most: int = _LONGEST_WORDS) -> str:
    """Return the printable letters of `text` on one line, `most` of them."""
    return one_line(text)[:most]
