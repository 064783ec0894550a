"""Which question of the OCI distribution spec a request asks: pure, from method, path and query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

_NAME = r"(?P<session>[sd][0-9]+)/(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
_PATTERNS = tuple(
    (kind, re.compile(rf"/v2/{_NAME}/{ending}"))
    for kind, ending in (
        ("manifest", r"manifests/(?P<subject>[A-Za-z0-9_][A-Za-z0-9_.:+-]{0,254})"),
        ("begin", r"blobs/uploads/?"),
        ("upload", r"blobs/uploads/(?P<subject>[A-Za-z0-9-]+)"),
        ("blob", r"blobs/(?P<subject>[a-z0-9+._-]+:[a-zA-Z0-9=_-]+)"),
        ("tags", r"tags/list"),
    )
)
_BYTE_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})", re.IGNORECASE)


class Question(Enum):
    """The endpoints of the distribution spec (end-1 to end-12) that the exchange answers."""

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
    UNSUPPORTED = "unsupported"
    UNKNOWN = "unknown"

    @property
    def writes(self) -> bool:
        """Whether only a destination may be asked this."""
        return self.value.split()[0] in ("PUT", "POST", "PATCH", "DELETE") or "upload" in self.value


@dataclass(frozen=True, slots=True)
class Route:
    """A question, the session and repository it is asked of, and its tag, digest or upload id."""

    question: Question
    session: str = ""
    repository: str = ""
    subject: str = ""


def route(method: str, path: str) -> Route:
    """The route of a request; `path` is decoded and without its query."""
    if path in ("/v2", "/v2/"):
        return Route(Question.PING if method in ("GET", "HEAD") else Question.UNSUPPORTED)
    for kind, pattern in _PATTERNS:
        if found := pattern.fullmatch(path):
            parts = found.groupdict(default="")
            question = _QUESTIONS.get(f"{method} {kind}", Question.UNSUPPORTED)
            return Route(question, parts["session"], parts["repository"], parts.get("subject", ""))
    return Route(Question.UNKNOWN)


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
    for question in Question
    if question not in (Question.PING, Question.UNSUPPORTED, Question.UNKNOWN)
}
