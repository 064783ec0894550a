"""The API of the OCI distribution spec: its endpoints, and answers in its words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from aiohttp import web

from image_tools.errors import DigestMismatch, ImageToolsError, InvalidManifest, NotFound

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
VERSION_HEADER = {"Docker-Distribution-API-Version": "registry/2.0"}


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
        """Return whether only a destination may be asked this."""
        return self.value.split()[0] in ("PUT", "POST", "PATCH", "DELETE") or "upload" in self.value


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint, the session and repository it is asked of, and its tag, digest or upload id."""

    endpoint: Endpoint
    session: str = ""
    repository: str = ""
    subject: str = ""


def route(method: str, path: str) -> Route:
    """Return the route of a request to the exchange; `path` is decoded and has no query."""
    return _route(method, path, _OF_A_SESSION)


def public_route(method: str, path: str) -> Route:
    """Return the route of a request to a whole registry: without sessions, with a catalog.

    `_catalog` is Docker's (distribution API, "Listing Repositories") and not in the OCI spec.
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
            endpoint = _ENDPOINTS.get(f"{method} {kind}", Endpoint.UNSUPPORTED)
            names = (parts.get(name, "") for name in ("session", "repository", "subject"))
            return Route(endpoint, *names)
    return Route(Endpoint.UNKNOWN)


def byte_range(headers: Mapping[str, str]) -> tuple[int, int | None] | None:
    """Return first and last byte of a single `Range: bytes=a-[b]` (RFC 9110, 14.2), else None.

    A range whose last byte precedes its first is invalid and must be ignored: None, too.
    """
    found = _BYTE_RANGE.fullmatch(headers.get("Range", "").strip())
    if found is None:
        return None
    first, last = int(found[1]), int(found[2]) if found[2] else None
    return None if last is not None and last < first else (first, last)


_ENDPOINTS = {
    endpoint.value: endpoint
    for endpoint in Endpoint
    if endpoint not in (Endpoint.PING, Endpoint.CATALOG, Endpoint.UNSUPPORTED, Endpoint.UNKNOWN)
}


def answer(
    status: int, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> web.Response:
    """Return a plain answer with `status`."""
    return web.Response(status=status, headers={**VERSION_HEADER, **(headers or {})}, body=body)


def error_answer(status: int, code: str, message: str) -> web.Response:
    """Return an error in the spec's JSON; `code` is one of its codes, in capitals."""
    document = {"errors": [{"code": code, "message": message}]}
    headers = {"Content-Type": "application/json"}
    return answer(status, headers, json.dumps(document).encode())


def unauthorized() -> web.Response:
    """Return the challenge to a client without a valid login."""
    refused = error_answer(401, "UNAUTHORIZED", "authentication required")
    refused.headers["WWW-Authenticate"] = 'Basic realm="image-tools"'
    return refused


def failure(error: ImageToolsError, endpoint: Endpoint) -> web.Response:
    """Return the answer to a tool when the store failed.

    Everything but unknown content and wrong bytes becomes 403: the store was asked often enough,
    and both tools take a 403 as final instead of asking again.
    """
    if isinstance(error, NotFound):
        return error_answer(404, _unknown_code(endpoint), str(error))
    if isinstance(error, DigestMismatch):
        return error_answer(400, "DIGEST_INVALID", str(error))
    if isinstance(error, InvalidManifest):
        return error_answer(400, "MANIFEST_INVALID", str(error))
    return error_answer(403, "DENIED", str(error))


def _unknown_code(endpoint: Endpoint) -> str:
    if "manifest" in endpoint.value:
        return "MANIFEST_UNKNOWN"
    return "BLOB_UNKNOWN" if "blob" in endpoint.value else "NAME_UNKNOWN"
