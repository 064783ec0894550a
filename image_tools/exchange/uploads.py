"""Uploads through the exchange: POST, PATCH and PUT, streamed to the destination."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

from aiohttp import web

from image_tools.errors import DigestMismatch, ImageToolsError
from image_tools.exchange.api import Route, answer, error_answer
from image_tools.exchange.blobs import blob_digest
from image_tools.exchange.sessions import ToolSession, ToolUpload
from image_tools.oci.digest import Digest
from image_tools.stores.store import Upload


async def begin(session: ToolSession, _route: Route, request: web.BaseRequest) -> web.Response:
    """Begin an upload, `mount` a blob from a session of this run, or take a whole blob."""
    if wanted := request.query.get("mount"):
        digest = blob_digest(wanted)
        if await _mounted(session, digest, session.find(request.query.get("from", ""))):
            return _created(session, digest)
    transfer = ToolUpload()
    if whole := request.query.get("digest"):
        return await _finish(session, transfer, blob_digest(whole), request)
    identity = str(uuid.uuid4())
    session.uploads[identity] = transfer
    return _progress(202, session, identity, transfer)


async def append(session: ToolSession, route: Route, request: web.BaseRequest) -> web.Response:
    """Take one more piece of an upload (PATCH)."""
    transfer = session.uploads.get(route.subject)
    if transfer is None:
        return _unknown_upload()
    if not _continues(request, transfer):
        return error_answer(416, "BLOB_UPLOAD_INVALID", "the pieces are not in order")
    try:
        await _append(session, transfer, request)
    except BaseException:
        # It is unknown how much of this piece the store took: nothing can follow it.
        session.uploads.pop(route.subject, None)
        await transfer.give_up()
        raise
    return _progress(202, session, route.subject, transfer)


async def end(session: ToolSession, route: Route, request: web.BaseRequest) -> web.Response:
    """Close an upload, with or without a last piece (PUT)."""
    digest = blob_digest(request.query.get("digest", ""))
    transfer = session.uploads.pop(route.subject, None)
    if transfer is None:
        return _unknown_upload()
    return await _finish(session, transfer, digest, request)


async def status(session: ToolSession, route: Route, _request: web.BaseRequest) -> web.Response:
    """Return how many bytes of an upload have arrived."""
    transfer = session.uploads.get(route.subject)
    if transfer is None:
        return _unknown_upload()
    return _progress(204, session, route.subject, transfer)


async def abort(session: ToolSession, route: Route, _request: web.BaseRequest) -> web.Response:
    """Abort an upload."""
    transfer = session.uploads.pop(route.subject, None)
    if transfer is None:
        return _unknown_upload()
    await transfer.give_up()
    return answer(204)


async def _finish(
    session: ToolSession, transfer: ToolUpload, digest: Digest, request: web.BaseRequest
) -> web.Response:
    try:
        async with session.ending(digest):
            if session.holds(digest):
                await _drop_rest(transfer, digest, request)
            else:
                await _send_rest(session, transfer, digest, request)
                await session.arrived(digest, transfer.received)
    except BaseException:
        await transfer.give_up()
        raise
    return _created(session, digest)


async def _drop_rest(transfer: ToolUpload, digest: Digest, request: web.BaseRequest) -> None:
    """Read a blob that is there already: some images have a layer twice, and tools send both."""
    async for chunk in request.content.iter_any():
        transfer.hasher.update(chunk)
    _verify(transfer, digest)
    await transfer.give_up()


async def _send_rest(
    session: ToolSession, transfer: ToolUpload, digest: Digest, request: web.BaseRequest
) -> None:
    """Finish with one PUT when the whole blob is in this request, else append and commit."""
    length = request.content_length
    if transfer.upload is None and length is not None:
        upload = transfer.upload = await _upload(session, digest)
        await upload.put(digest, length, _counted(session, transfer, request))
    else:
        await _append(session, transfer, request)
        _verify(transfer, digest)
        assert transfer.upload is not None
        await transfer.upload.commit(digest)


def _verify(transfer: ToolUpload, digest: Digest) -> None:
    found = transfer.hasher.hexdigest()
    if digest.algorithm == "sha256" and found != digest.hex:
        raise DigestMismatch(f"expected {digest}, got sha256:{found}")


async def _append(session: ToolSession, transfer: ToolUpload, request: web.BaseRequest) -> None:
    if transfer.upload is None:
        session.check_open()
        transfer.upload = await session.store.upload(session.repository)
    if request.can_read_body:
        await transfer.upload.append(_counted(session, transfer, request))


async def _upload(session: ToolSession, digest: Digest) -> Upload:
    claim = session.awaited.get(digest)
    if claim is not None and claim.upload is not None:
        begun, claim.upload = claim.upload, None
        return begun
    session.check_open()
    return await session.store.upload(session.repository)


async def _counted(
    session: ToolSession, transfer: ToolUpload, request: web.BaseRequest
) -> AsyncIterator[bytes]:
    async for chunk in request.content.iter_any():
        transfer.hasher.update(chunk)
        transfer.received += len(chunk)
        for claim in session.awaited.values():
            claim.flight.moved += len(chunk)
        session.traffic.wrote(len(chunk))
        yield chunk


async def _mounted(session: ToolSession, digest: Digest, origin: ToolSession | None) -> bool:
    if origin is None or origin.store is not session.store or session.ledger is None:
        return False
    size = session.ledger.size(origin.repository, digest)
    if size is None or session.expected.get(digest, size) != size:
        return False
    if session.ledger.size(session.repository, digest) is None:
        try:
            upload = await session.store.mount(session.repository, digest, origin.repository)
        except ImageToolsError:
            return False  # The tool sends the blob then.
        if upload is not None:
            await upload.abort()
            return False
        await session.arrived(digest, size)
    return True


def _continues(request: web.BaseRequest, transfer: ToolUpload) -> bool:
    stated = request.headers.get("Content-Range", "").removeprefix("bytes ").split("-")[0].strip()
    return not stated or stated == str(transfer.received)


def _progress(
    status: int, session: ToolSession, identity: str, transfer: ToolUpload
) -> web.Response:
    headers = {
        "Location": f"/v2/{session.key}/{session.repository}/blobs/uploads/{identity}",
        "Docker-Upload-UUID": identity,
        "Range": f"0-{max(transfer.received - 1, 0)}",
    }
    return answer(status, headers)


def _created(session: ToolSession, digest: Digest) -> web.Response:
    location = f"/v2/{session.key}/{session.repository}/blobs/{digest}"
    return answer(201, {"Location": location, "Docker-Content-Digest": str(digest)})


def _unknown_upload() -> web.Response:
    return error_answer(404, "BLOB_UPLOAD_UNKNOWN", "this upload is not known")
