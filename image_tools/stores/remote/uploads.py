"""Uploads into a registry: sessions that end with a PUT or are aborted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from loguru import logger
from yarl import URL

from image_tools.errors import CopyFailed, ImageToolsError, NotFound, Unavailable
from image_tools.oci.digest import Digest
from image_tools.stores.remote.api import ApiAnswer, ApiRequest
from image_tools.stores.remote.blobs import BlobSizes
from image_tools.stores.remote.client import RegistryClient
from image_tools.stores.remote.manifests import refuse_other
from image_tools.web.address import follow, named, with_digest
from image_tools.web.body import StreamBody

ABORT_SECONDS = 5.0
_STORED = frozenset({200, 201, 202, 204})
_TOO_LARGE = 413
_NO_ABORT = frozenset({403, 404, 405, 500, 501})
_NO_SINGLE_PUT = frozenset({400, 404, 405, 411, _TOO_LARGE, 415, 416, 422, 501})


class RemoteUpload:
    """An upload session of one repository (distribution spec, "Pushing blobs")."""

    def __init__(self, client: RegistryClient, repository: str, begun: ApiAnswer) -> None:
        self._client, self._repository = client, repository
        self._reference = named(client.registry, repository)
        self._location = self._next(begun)
        self._is_open = True

    async def append(self, chunks: AsyncIterator[bytes]) -> None:
        """Send `chunks` after what was sent before (PATCH)."""
        body = self._client.body(chunks, self._reference)
        answer = await self._send(self._request("PATCH", body, self._location))
        if "Location" in answer.headers:
            self._location = self._next(answer)

    async def commit(self, digest: Digest) -> None:
        """Close the session: what was sent has `digest` (PUT without a body)."""
        request = self._request("PUT", None, with_digest(self._location, digest), digest)
        try:
            answer = await self._client.ask(request)
        except NotFound as error:
            # The answer to a first PUT may be lost: then the session is gone and the blob stored.
            self._is_open = False
            if not await self._is_stored(digest):
                raise _lost(request, error) from error
        else:
            self._finish(answer, digest)

    async def put(self, digest: Digest, size: int, chunks: AsyncIterator[bytes]) -> None:
        """Send the whole blob of `size` bytes and close the session, with one PUT.

        A registry that refuses a single PUT (JFrog, containerd#3533; pulp_container#1274) gets no
        other in this run: the error says that the blob may go `another_way`, which is PATCH and
        PUT.
        """
        known = self._client.capabilities
        if known.puts is False or (known.puts_below is not None and size >= known.puts_below):
            return await self._in_two_steps(digest, chunks)
        body = self._client.body(
            chunks, named(self._client.registry, self._repository, digest), size
        )
        request = self._request("PUT", body, with_digest(self._location, digest), digest)
        answer = await self._client.once(replace(request, expected=_STORED | _NO_SINGLE_PUT))
        if answer.status in _STORED:
            known.puts = True
            return self._finish(answer, digest)
        error = self._refused(answer, request)
        if not known.puts or answer.status == _TOO_LARGE:
            logger.debug("{}; sending it by PATCH and PUT", error)
            if answer.status == _TOO_LARGE:
                known.puts_below, known.too_large = size, answer
            else:
                known.puts = False
            error.another_way = error.temporary = True
        raise error

    async def _in_two_steps(self, digest: Digest, chunks: AsyncIterator[bytes]) -> None:
        """Send PATCH and PUT; if PATCH is unsupported, an earlier 413 is the better reason."""
        try:
            await self.append(chunks)
        except CopyFailed as error:
            known = self._client.capabilities.too_large
            if known is None or error.status not in _NO_SINGLE_PUT:
                raise
            request = self._request("PUT", None, self._location, digest)
            raise self._client.refusal(known, request) from error
        await self.commit(digest)

    async def abort(self) -> None:
        """Abort the session (DELETE); never raise, wait a few seconds at most."""
        if not self._is_open or not self._client.capabilities.aborts:
            return
        self._is_open = False
        await self._client.in_background(self._delete(), ABORT_SECONDS)

    def _refused(self, answer: ApiAnswer, request: ApiRequest) -> ImageToolsError:
        error = self._client.refusal(answer, request)
        return _lost(request, error) if isinstance(error, NotFound) else error

    async def _send(self, request: ApiRequest) -> ApiAnswer:
        try:
            return await self._client.once(request)
        except NotFound as error:
            raise _lost(request, error) from error

    async def _delete(self) -> None:
        try:
            await self._client.once(self._request("DELETE", None, self._location))
        except CopyFailed as error:
            # Registries remove abandoned uploads by themselves.
            self._client.capabilities.aborts = error.status not in _NO_ABORT
        except ImageToolsError as error:
            logger.debug("{}", error)

    async def _is_stored(self, digest: Digest) -> bool:
        return await BlobSizes(self._client).of(self._repository, digest) is not None

    def _finish(self, answer: ApiAnswer, digest: Digest) -> None:
        self._is_open = False
        refuse_other(answer.digest, digest, named(self._client.registry, self._repository, digest))

    def _next(self, answer: ApiAnswer) -> URL:
        location = answer.headers.get("Location", "")
        allows_plain = self._client.allows_plain(answer.url)
        return follow(answer.url, location, self._reference, allows_plain=allows_plain)

    def _request(
        self, method: str, body: StreamBody | None, url: URL, digest: Digest | None = None
    ) -> ApiRequest:
        return ApiRequest(
            method=method,
            repository=self._repository,
            reference=named(self._client.registry, self._repository, digest),
            url=url,
            body=body,
            expected=_STORED,
            doing="uploading",
            is_slow=method == "PUT",
            push=True,
        )


async def begin_upload(client: RegistryClient, repository: str, doing: str) -> ApiAnswer:
    """Return the answer that begins an upload (POST); `doing` says in errors what for."""
    return await client.ask(
        ApiRequest(
            method="POST",
            repository=repository,
            reference=named(client.registry, repository),
            path=f"{repository}/blobs/uploads/",
            expected=frozenset({202}),
            doing=doing,
            push=True,
        )
    )


def _lost(request: ApiRequest, error: NotFound) -> Unavailable:
    """Return the temporary error of a session that the registry does not know any more."""
    said = f"{request.reference}: the registry no longer knows this upload"
    return Unavailable(said, status=error.status)
