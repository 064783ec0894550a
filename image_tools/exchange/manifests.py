"""Manifests through the exchange: answered from memory where the run has read them."""

from __future__ import annotations

from aiohttp import web

from image_tools.errors import DigestMismatch, InvalidManifest, InvalidReference
from image_tools.exchange.api import Route, answer, error_answer
from image_tools.exchange.sessions import ToolSession
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import MAXIMUM_MANIFEST_SIZE, RawManifest


async def read(session: ToolSession, route: Route, _request: web.BaseRequest) -> web.Response:
    """Return the manifest for a GET or HEAD; the server drops the body of a HEAD."""
    reference = _reference(route.subject)
    if session.hides_tags and isinstance(reference, str):
        return error_answer(404, "MANIFEST_UNKNOWN", f"tag {reference} is unknown")
    known = session.manifests.get(reference) if isinstance(reference, Digest) else None
    raw = known or await session.store.manifest(session.repository, reference)
    digest = reference if isinstance(reference, Digest) else raw.digest
    session.manifests[digest] = raw
    return answer(200, _headers(raw, digest), raw.content)


async def write(session: ToolSession, route: Route, request: web.BaseRequest) -> web.Response:
    """Store the manifest that a tool pushes, after the session's check."""
    reference = _reference(route.subject)
    raw = RawManifest(request.content_type, await _body(request))
    if isinstance(reference, Digest):
        reference.verify(raw.content)
    if session.check is not None and (refusal := session.check(raw)):
        session.refusal = refusal
        return error_answer(400, "MANIFEST_INVALID", refusal)
    await session.publish(raw.digest if session.tags_become_digests else reference, raw)
    session.manifests[raw.digest] = raw
    location = f"/v2/{session.key}/{session.repository}/manifests/{raw.digest}"
    return answer(201, {"Location": location, "Docker-Content-Digest": str(raw.digest)})


def _reference(subject: str) -> str | Digest:
    if ":" not in subject:
        return subject
    try:
        return Digest.parse(subject)
    except InvalidReference as error:
        raise DigestMismatch(str(error)) from error


def _headers(raw: RawManifest, digest: Digest) -> dict[str, str]:
    return {"Content-Type": raw.media_type, "Docker-Content-Digest": str(digest)}


async def _body(request: web.BaseRequest) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAXIMUM_MANIFEST_SIZE:
            raise InvalidManifest("the manifest has more than 4 MiB")
    return bytes(body)
