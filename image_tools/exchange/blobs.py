"""Blobs through the exchange: streamed from a source, looked up in a destination."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from image_tools.errors import DigestMismatch, InvalidManifest, InvalidReference, NotFound
from image_tools.exchange.api import VERSION_HEADER, Route, answer, byte_range, error_answer
from image_tools.exchange.ledger import Flight, Ledger, Step
from image_tools.exchange.placing import landing, mount
from image_tools.exchange.presence import find_blob
from image_tools.exchange.sessions import AwaitedBlob, ToolSession
from image_tools.oci.digest import Digest
from image_tools.stores.store import Upload


async def head(session: ToolSession, route: Route, _request: web.BaseRequest) -> web.StreamResponse:
    """Answer whether the blob is there; a destination is asked through its ledger."""
    digest = blob_digest(route.subject)
    size = await _size(session, digest)
    if size is None:
        return error_answer(404, "BLOB_UNKNOWN", f"blob {digest} is unknown")
    described = web.StreamResponse(headers={**VERSION_HEADER, **_headers(digest)})
    described.content_length = size
    return described


async def get(session: ToolSession, route: Route, request: web.BaseRequest) -> web.StreamResponse:
    """Stream the blob, or the part of it that a single Range asks for."""
    digest = blob_digest(route.subject)
    content = session.blobs.get(digest)
    size = await _source_size(session, digest) if content is None else len(content)
    wanted = byte_range(request.headers)
    first, last = wanted or (0, None)
    if wanted is not None and first >= size:
        return _unsatisfiable(size)
    last = size - 1 if last is None else min(last, size - 1)
    headers, status = _headers(digest), 200
    if wanted is not None:
        headers["Content-Range"], status = f"bytes {first}-{last}/{size}", 206
    if content is not None:
        return answer(status, headers, content[first : last + 1])
    part = web.StreamResponse(status=status, headers={**VERSION_HEADER, **headers})
    part.content_length = last - first + 1
    bound = last if last < size - 1 else None
    async with session.store.blob(session.repository, digest, first=first, last=bound) as chunks:
        return await _stream(part, request, session.traffic.reading(chunks))


def blob_digest(text: str) -> Digest:
    """Return the digest in a path or query; raise DigestMismatch (DIGEST_INVALID) if invalid."""
    try:
        return Digest.parse(text)
    except InvalidReference as error:
        raise DigestMismatch(str(error)) from error


async def _source_size(session: ToolSession, digest: Digest) -> int:
    size = session.sizes.get(digest)
    if size is None:
        size = await session.store.blob_size(session.repository, digest)
    if size is None:
        raise NotFound(f"blob {digest} is unknown")
    session.sizes[digest] = size
    return size


async def _stream(
    part: web.StreamResponse, request: web.BaseRequest, chunks: AsyncIterator[bytes]
) -> web.StreamResponse:
    await part.prepare(request)
    sent = 0
    try:
        async for chunk in chunks:
            sent += len(chunk)
            await part.write(chunk)
        if sent != part.content_length:
            # A tool would wait for the rest endlessly.
            said = f"the blob has {sent} bytes where {part.content_length} were announced"
            raise InvalidManifest(said)
        await part.write_eof()
    except BaseException:
        # The status is sent already: only a broken connection tells the tool of the failure.
        if request.transport is not None:
            request.transport.abort()
        raise
    return part


async def _size(session: ToolSession, digest: Digest) -> int | None:
    if digest in session.blobs:
        return len(session.blobs[digest])
    if digest in session.sizes:
        return session.sizes[digest]
    if session.ledger is not None:
        return await _claimed_size(session, session.ledger, digest)
    found = await session.store.blob_size(session.repository, digest)
    if found is not None:
        session.sizes[digest] = found
    return found


async def _claimed_size(session: ToolSession, ledger: Ledger, digest: Digest) -> int | None:
    """Return the size of a blob at the destination; None if this session's tool must send it."""
    while digest not in session.awaited:
        asked = ledger.ask(session.repository, digest, session.expected.get(digest))
        if asked.flight is None:
            return ledger.size(session.repository, digest)
        if asked.step is Step.WAIT:
            await landing(ledger, asked.flight)
            continue
        try:
            return await _look(session, ledger, asked.flight)
        except BaseException:
            ledger.crash(asked.flight)
            raise
    return None


async def _look(session: ToolSession, ledger: Ledger, flight: Flight) -> int | None:
    upload: Upload | None = None
    if flight.origin is not None:
        size = ledger.size(flight.origin, flight.digest)
        upload = await mount(session.store, ledger, flight, size)
        if flight.origin and size is not None:
            ledger.land(flight, size)
            return size
    claim = AwaitedBlob(flight=flight, upload=upload)
    try:
        expected = await session.expected_size(flight.digest)
        found = await find_blob(session.store, session.repository, flight.digest, expected)
    except BaseException:
        await claim.give_up()
        raise
    flight.short = found.is_other
    if found.size is None:
        session.awaited[flight.digest] = claim
        return None
    ledger.land(flight, found.size)
    await claim.give_up()
    return found.size


def _headers(digest: Digest) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": str(digest),
        "Accept-Ranges": "bytes",
    }


def _unsatisfiable(size: int) -> web.Response:
    refused = error_answer(416, "SIZE_INVALID", "the range lies behind the end of the blob")
    refused.headers["Content-Range"] = f"bytes */{size}"
    return refused
