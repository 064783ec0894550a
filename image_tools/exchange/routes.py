"""Which question of the OCI distribution spec a request asks: pure, from method, path and query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

_REPOSITORY = r"(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
_DIGEST = r"(?P<subject>[a-z0-9+._-]+:[a-zA-Z0-9=_-]+)"
_ENDINGS = (
    ("manifest", r"manifests/(?P<subject>[A-Za-z0-9_][A-Za-z0-9_.:+-]{0,254})"),
    ("begin", r"blobs/uploads/?"),
    ("upload", r"blobs/uploads/(?P<subject>[A-Za-z0-9-]+)"),
    ("blob", rf"blobs/{_DIGEST}"),
    ("tags", r"tags/list"),
)
_Patterns = tuple[tuple[str, re.Pattern[str]], ...]


def _patterns(name: str, *endings: tuple[str, str]) -> _Patterns:
    return tuple((kind, re.compile(rf"/v2/{name}/{ending}")) for kind, ending in endings)


_OF_A_SESSION = _patterns(rf"(?P<session>[sd][0-9]+)/{_REPOSITORY}", *_ENDINGS)
_OF_A_REGISTRY = _patterns(_REPOSITORY, *_ENDINGS, ("referrers", rf"referrers/{_DIGEST}"))
_BYTE_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})", re.IGNORECASE)


class Endpoint(Enum):
    """The endpoints of the distribution spec (end-1 to end-13) that are answered here."""

    PING = "ping"
    MANIFEST_HEAD = "HEAD manifest"
    MANIFEST_GET = "GET manifest"
    MANIFEST_PUT = "PUT manifest"
    BLOB_HEAD = "HEAD blob"
    BLOB_GET = "GET blob"
    UPLOAD_BEGIN = "POST begin"
    UPLOAD_APPEND = "PATCH upload"
    UPLOAD_END = "PUT upload"
    UPLOAD_STATUS = "GET upload"
    UPLOAD_ABORT = "DELETE upload"
    TAGS = "GET tags"
    REFERRERS = "GET referrers"
    CATALOG = "GET catalog"
    UNSUPPORTED = "unsupported"
    UNKNOWN = "unknown"

    @property
    def writes(self) -> bool:
        """Whether only a destination may be asked this."""
        return self.value.split()[0] in ("PUT", "POST", "PATCH", "DELETE") or "upload" in self.value


@dataclass(frozen=True, slots=True)
class Route:
    """A question, the session and repository it is asked of, and its tag, digest or upload id."""

    question: Endpoint
    session: str = ""
    repository: str = ""
    subject: str = ""


def route(method: str, path: str) -> Route:
    """The route of a request to the exchange; `path` is decoded and without its query."""
    return _route(method, path, _OF_A_SESSION)


def public_route(method: str, path: str) -> Route:
    """The route of a request to a whole registry: without sessions, with a list of repositories.

    `_catalog` is Docker's (distribution API, "Listing Repositories"), and not in the OCI spec.
    """
    if path == "/v2/_catalog":
        return Route(Endpoint.CATALOG if method in ("GET", "HEAD") else Endpoint.UNSUPPORTED)
    return _route(method, path, _OF_A_REGISTRY)


def _route(method: str, path: str, patterns: _Patterns) -> Route:
    if path in ("/v2", "/v2/"):
        return Route(Endpoint.PING if method in ("GET", "HEAD") else Endpoint.UNSUPPORTED)
    for kind, pattern in patterns:
        if found := pattern.fullmatch(path):
            parts = found.groupdict(default="")
            question = _QUESTIONS.get(f"{method} {kind}", Endpoint.UNSUPPORTED)
            names = (parts.get(name, "") for name in ("session", "repository", "subject"))
            return Route(question, *names)
    return Route(Endpoint.UNKNOWN)


def byte_range(headers: Mapping[str, str]) -> tuple[int, int | None] | None:
    """First and last byte of a single `Range: bytes=a-[b]` (RFC 9110 14.2), else None.

    An invalid range, whose last byte comes before its first, is None too: it is to be ignored.
    """
    found = _BYTE_RANGE.fullmatch(headers.get("Range", "").strip())
    if found is None:
        return None
    first, last = int(found[1]), int(found[2]) if found[2] else None
    return None if last is not None and last < first else (first, last)


_QUESTIONS = {
    question.value: question
    for question in Endpoint
    if question not in (Endpoint.PING, Endpoint.CATALOG, Endpoint.UNSUPPORTED, Endpoint.UNKNOWN)
}
