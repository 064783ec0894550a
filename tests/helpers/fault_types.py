"""Words of the fault-injecting registry: stages, kinds, faults, seen requests, replies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Stage(Enum):
    """What a request is about; manifest GETs by digest of a listed child are ``CHILD``."""

    PING = "ping"
    TOKEN = "token"
    HEAD_MANIFEST = "HEAD manifest"
    MANIFEST = "GET manifest"
    CHILD = "GET child manifest"
    CONFIG = "GET config"
    BLOB = "GET blob"
    HEAD_BLOB = "HEAD blob"
    POST_UPLOAD = "POST upload"
    PATCH_UPLOAD = "PATCH upload"
    PUT_BLOB = "PUT blob"
    PUT_MANIFEST = "PUT manifest"
    TAGS = "GET tags"
    OTHER = "other"


class Kind(Enum):
    """What goes wrong beside a status; on answers without a body the headers suffer instead."""

    RESET = "reset before headers"
    RESET_IN_BODY = "reset in body"
    RESET_AFTER = "reset instead of the answer"
    CUT_BODY = "cut body"
    WRONG_BYTES = "wrong bytes"
    WRONG_LENGTH = "wrong length"
    SLOW_BODY = "slow body"
    HANG = "hang"
    HTML = "HTML instead of JSON"
    REDIRECT_NOWHERE = "redirect to nowhere"
    EXPIRED_TOKEN = "expired token"


STATUS_FAULTS = (401, 403, 404, 429, 500, 502, 503, 504, 507)
ALWAYS: None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to go wrong: ``kind`` is a `Kind` or an HTTP status.

    ``times`` counts how often (None: always), ``repository`` and ``reference`` (tag or digest)
    narrow it, ``after`` lets that many matching requests pass first. ``retry_after`` becomes a
    header; ``pause`` is the wait in seconds between pieces of a slow body.
    """

    stage: Stage
    kind: Kind | int
    times: int | None = 1
    repository: str | None = None
    reference: str | None = None
    after: int = 0
    retry_after: str | int | None = None
    pause: float = 0.2
    message: str = "injected by the lab"


@dataclass(slots=True, kw_only=True)
class Seen:
    """One request that came in; ``status`` is 0 until an answer began, and after a reset.

    ``authorization`` is the scheme (``basic``, ``bearer``) or None; times are monotonic seconds;
    ``connection`` numbers the TCP connections.
    """

    stage: Stage
    method: str
    path: str
    query: str
    repository: str | None
    reference: str | None
    headers: Mapping[str, str] = field(repr=False)
    authorization: str | None
    connection: int
    started: float
    ended: float | None = None
    status: int = 0
    fault: Kind | int | None = None


HeaderValue = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is sent.

    A tuple in ``headers`` sends the field once for each of its values, an empty one not at all.
    """

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)


# In place of an answer the connection ends.
CUT = Reply(0)
CODES = {401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS"}
NOT_FOUND_CODES = {
    Stage.BLOB: "BLOB_UNKNOWN",
    Stage.CONFIG: "BLOB_UNKNOWN",
    Stage.HEAD_BLOB: "BLOB_UNKNOWN",
    Stage.TAGS: "NAME_UNKNOWN",
    Stage.POST_UPLOAD: "NAME_UNKNOWN",
    Stage.PATCH_UPLOAD: "BLOB_UPLOAD_UNKNOWN",
    Stage.PUT_BLOB: "BLOB_UPLOAD_UNKNOWN",
}


def error_reply(
    status: int, code: str, message: str, headers: Mapping[str, HeaderValue] | None = None
) -> Reply:
    """Give an error of the distribution spec."""
    body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]}).encode()
    return Reply(status, body, {"Content-Type": "application/json", **(headers or {})})


def status_reply(stage: Stage, status: int, message: str) -> Reply:
    """Give the error a registry of the field sends with this status at this stage."""
    code = CODES.get(status, "UNKNOWN")
    if status == 404:
        code = NOT_FOUND_CODES.get(stage, "MANIFEST_UNKNOWN")
    return error_reply(status, code, message)
