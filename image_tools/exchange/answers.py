"""Answers in the words of the OCI distribution spec."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web

from image_tools.errors import DigestMismatch, ImageToolsError, InvalidManifest, NotFound
from image_tools.exchange.routes import Endpoint

VERSION_HEADER = {"Docker-Distribution-API-Version": "registry/2.0"}


def answer(
    status: int, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> web.Response:
    """A plain answer of `status`."""
    return web.Response(status=status, headers={**VERSION_HEADER, **(headers or {})}, body=body)


def error_answer(status: int, code: str, message: str) -> web.Response:
    """An error in the spec's JSON shape: `code` is one of its error codes, in capitals."""
    document = {"errors": [{"code": code, "message": message}]}
    headers = {"Content-Type": "application/json"}
    return answer(status, headers, json.dumps(document).encode())


def unauthorized() -> web.Response:
    """The challenge for whoever does not know this run's secret."""
    refused = error_answer(401, "UNAUTHORIZED", "authentication required")
    refused.headers["WWW-Authenticate"] = 'Basic realm="image-tools"'
    return refused


def failure(error: ImageToolsError, question: Endpoint) -> web.Response:
    """The answer to a tool when the store failed.

    Everything but "unknown" and "wrong bytes" becomes 403: the store has been asked again often
    enough, and both tools take a 403 for final instead of hammering on.
    """
    if isinstance(error, NotFound):
        return error_answer(404, _unknown_code(question), str(error))
    if isinstance(error, DigestMismatch):
        return error_answer(400, "DIGEST_INVALID", str(error))
    if isinstance(error, InvalidManifest):
        return error_answer(400, "MANIFEST_INVALID", str(error))
    return error_answer(403, "DENIED", str(error))


def _unknown_code(question: Endpoint) -> str:
    if "manifest" in question.value:
        return "MANIFEST_UNKNOWN"
    return "BLOB_UNKNOWN" if "blob" in question.value else "NAME_UNKNOWN"
