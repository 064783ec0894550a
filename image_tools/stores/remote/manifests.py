"""Manifests of a registry and their heads: by HEAD, or by GET where HEAD fails."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from image_tools.errors import (
    AccessDenied,
    CopyFailed,
    Deferred,
    DigestMismatch,
    ImageToolsError,
    InvalidManifest,
    NotFound,
    Unavailable,
)
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, Manifest, RawManifest, parse
from image_tools.stores.remote.api import ApiAnswer, ApiRequest, Counts
from image_tools.stores.remote.client import RegistryClient
from image_tools.stores.remote.tags import TagLists
from image_tools.stores.store import ManifestHead
from image_tools.web.address import named

_ACCEPT = {"Accept": ", ".join(media.ACCEPTED)}
FORBIDDEN = 403
_NO_HEAD = frozenset({405, 501})
# A HEAD has no body: only the answer to a GET tells the policy (harbor#15283, #19408).
_NO_WORDS = frozenset({400, FORBIDDEN, 406, 409, 410, 412, 415, 422, 451})
_NAMES_A_TYPE = "application/vnd."


class ManifestReader:
    """Reads the manifests of one registry, and their heads."""

    def __init__(self, client: RegistryClient, tags: TagLists) -> None:
        self._client, self._tags = client, tags
        self._known = client.capabilities

    async def of_manifest(self, repository: str, reference: str | Digest) -> ManifestHead | None:
        """Return the head of a manifest, None when the registry says it is unknown.

        A registry that gives no usable digest, or fails on HEAD, is asked for the manifest: once,
        for its words, within the pull limit. A media type that says nothing is empty.
        """
        try:
            if not self._known.heads:
                return await self._by_content(repository, reference)
            return await self._by_head(repository, reference)
        except AccessDenied as error:
            if await self._is_absent(error, repository, reference):
                return None
            raise

    async def manifest(self, repository: str, reference: str | Digest) -> RawManifest:
        """Return the manifest, verified by the digest asked for or told.

        Raise NotFound if unknown.
        """
        return await self._client.repeat(lambda: self._read(repository, reference))

    async def _by_head(self, repository: str, reference: str | Digest) -> ManifestHead | None:
        try:
            answer = await self._client.repeat(lambda: self._ask_head(repository, reference))
        except Unavailable as error:
            found = await self._in_place_of(error, repository, reference)
            self._known.note_failing_head(error, found=found is not None)
            return found
        if self._client.says_unknown(answer):
            return None
        digest = answer.digest
        if answer.status == 200 and digest is not None:
            media_type = told_type(answer.media_type)
            return ManifestHead(digest, media_type, answer.length or None, self._client.registry)
        refusal = self._client.refusal(answer, self._request("HEAD", repository, reference, ()))
        found = await self._in_place_of(refusal, repository, reference)
        self._known.heads = found is None and answer.status not in _NO_HEAD
        return found

    async def _ask_head(self, repository: str, reference: str | Digest) -> ApiAnswer:
        """Return the answer to a HEAD; raise DigestMismatch when it is about other content."""
        expected = frozenset({200, 404}) | _NO_HEAD | _NO_WORDS
        answer = await self._client.once(self._request("HEAD", repository, reference, expected))
        if answer.status == 200 and isinstance(reference, Digest):
            place = named(self._client.registry, repository, reference)
            refuse_other(answer.digest, reference, place)
        return answer

    async def _is_absent(
        self, error: AccessDenied, repository: str, reference: str | Digest
    ) -> bool:
        """Return whether a 403 is about a tag that does not exist (cosign#2973, ggcr#1691).

        The list of tags tells; without one, a repository that accepts pushes hides no tag.
        """
        if error.status != FORBIDDEN or isinstance(reference, Digest):
            return False
        is_listed = await self._tags.holds(repository, reference)
        return repository in self._known.writable if is_listed is None else not is_listed

    async def _in_place_of(
        self, refusal: ImageToolsError, repository: str, reference: str | Digest
    ) -> ManifestHead | None:
        """Return the head as a GET gives it, or raise the refusal in the registry's words.

        The refusal of a HEAD has no body.
        """
        if isinstance(refusal, CopyFailed) and not refusal.answered:
            raise refusal
        request = self._request("GET", repository, reference, {200, 404})
        try:
            # After all tries of the HEAD one GET is enough.
            ask = self._client.once if refusal.exhausted else self._client.ask
            answer = await ask(request)
        except Deferred:
            # Only a GET can tell more, and the pull limit leaves no room for it yet.
            if _says_nothing(refusal) or not self._known.heads:
                raise
            raise refusal from None
        except ImageToolsError as error:
            error.exhausted = error.exhausted or refusal.exhausted
            raise error from refusal
        if answer.status != 200:
            if self._client.says_unknown(answer):
                return None
            raise self._client.refusal(answer, request)
        return self._head_of(self._as_manifest(answer, repository, reference), reference)

    async def _by_content(self, repository: str, reference: str | Digest) -> ManifestHead | None:
        try:
            manifest = await self.manifest(repository, reference)
        except NotFound:
            return None
        return self._head_of(manifest, reference)

    def _head_of(self, manifest: RawManifest, reference: str | Digest) -> ManifestHead:
        digest = reference if isinstance(reference, Digest) else digest_of(manifest)
        size = len(manifest.content)
        return ManifestHead(digest, manifest.media_type, size, self._client.registry)

    async def _read(self, repository: str, reference: str | Digest) -> RawManifest:
        answer = await self._client.once(self._request("GET", repository, reference, {200}))
        return self._as_manifest(answer, repository, reference)

    def _as_manifest(
        self, answer: ApiAnswer, repository: str, reference: str | Digest
    ) -> RawManifest:
        content = answer.body
        manifest = RawManifest(media_type_of(answer.media_type, content), content)
        digest = reference if isinstance(reference, Digest) else answer.digest
        if digest is not None:
            verify(manifest, digest, named(self._client.registry, repository, reference))
        return manifest

    def _request(
        self, method: str, repository: str, reference: str | Digest, expected: Iterable[int]
    ) -> ApiRequest:
        return ApiRequest(
            method=method,
            repository=repository,
            reference=named(self._client.registry, repository, reference),
            path=f"{repository}/manifests/{reference}",
            headers=_ACCEPT,
            expected=frozenset(expected),
            counts=Counts.HEAD if method == "HEAD" else Counts.PULL,
        )


def _says_nothing(refusal: ImageToolsError) -> bool:
    """Return whether the method HEAD was refused, which says nothing about the manifest."""
    status = refusal.status if isinstance(refusal, CopyFailed) else None
    return status is None or status == 200 or status in _NO_HEAD or status == 500


def told_type(stated: str) -> str:
    """Return the media type of an answer without a body; empty if it is no manifest's type."""
    return stated if stated.startswith(_NAMES_A_TYPE) else ""


def media_type_of(stated: str, content: bytes) -> str:
    """Return the type of a manifest: as `stated`, or by its content if that says nothing."""
    if told_type(stated):
        return stated
    try:
        found = parse(RawManifest("", content))
    except InvalidManifest:
        return stated
    if isinstance(found, (Manifest, Index)):
        return found.media_type
    signed = b'"signatures"' in content
    return media.DOCKER_SCHEMA1_SIGNED if signed else media.DOCKER_SCHEMA1


def verify(manifest: RawManifest, digest: Digest, reference: str) -> None:
    """Raise DigestMismatch unless `manifest` has `digest`.

    The digest of a signed schema 1 manifest is that of the signed payload (Docker's
    manifest-v2-1.md), so that one is accepted too.
    """
    try:
        digest.verify(manifest.content)
    except DigestMismatch as error:
        if manifest.media_type in media.SCHEMA1 and _is_payload(manifest.content, digest):
            return
        raise DigestMismatch(f"{reference}: {error}") from error


def digest_of(manifest: RawManifest) -> Digest:
    """Return the digest a registry gives `manifest`: of schema 1 that of the signed payload."""
    payload = signed_payload(manifest.content) if manifest.media_type in media.SCHEMA1 else None
    return manifest.digest if payload is None else Digest.of(payload)


def refuse_other(found: Digest | None, wanted: Digest, reference: str) -> None:
    """Raise DigestMismatch when a registry told another digest of the same algorithm."""
    if found is not None and found.algorithm == wanted.algorithm and found != wanted:
        raise DigestMismatch(f"{reference}: the registry has {found} in its place")


def _is_payload(content: bytes, digest: Digest) -> bool:
    payload = signed_payload(content)
    if payload is None:
        return False
    found = digest.hasher()
    found.update(payload)
    return found.hexdigest() == digest.hex


def signed_payload(content: bytes) -> bytes | None:
    """Return what the signature of a schema 1 manifest covers, None without a readable one."""
    try:
        protected = json.loads(content)["signatures"][0]["protected"]
        told: dict[str, Any] = json.loads(_base64url(protected))
        return content[: int(told["formatLength"])] + _base64url(told["formatTail"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
