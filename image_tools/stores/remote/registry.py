"""A registry as a store: the requests of the OCI distribution spec over HTTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from loguru import logger

from image_tools.errors import (
    CopyFailed,
    ImageToolsError,
    IntegrityError,
    RateLimited,
)
from image_tools.logins.credentials import Keyring
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.stores.remote.admission import Admission
from image_tools.stores.remote.api import ApiAnswer, ApiRequest
from image_tools.stores.remote.blobs import BlobReader, BlobSizes
from image_tools.stores.remote.client import RegistryClient, RemoteOptions
from image_tools.stores.remote.manifests import ManifestReader, verify
from image_tools.stores.remote.referrers import doubt, referrers
from image_tools.stores.remote.tags import TagLists
from image_tools.stores.remote.uploads import RemoteUpload, begin_upload
from image_tools.stores.store import Abilities, ManifestHead
from image_tools.web.address import named

__all__ = ["Remote", "RemoteOptions"]

# How registries refuse a mount they do not support: Harbor, jib#703, kaniko#1013.
_NO_MOUNT = frozenset({400, 405, 406, 409, 410, 415, 422, 500, 501})
_ABOUT_ORIGIN = frozenset({401, 403, 404})
_NOT_YET = frozenset({400, 404})
_UNKNOWN_BLOB = frozenset({"BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN"})
_DELETED = frozenset({200, 202, 204})
_UNKNOWN = 404
# GCR refuses to delete a digest that tags lead to (reg#136).
_DANGLING = "GOOGLE_MANIFEST_DANGLING_TAG"
_ABOUT_TAGS = re.compile(
    r"\b(?:referenced by|used by|still has|dangling)(?: \w+)? tags?\b", re.IGNORECASE
)
_MAY_BE_ABOUT_TAGS = frozenset({400, 409, 412, 422})
_HIDDEN = frozenset({401, 403})
# Seconds until the servers of one registry agree on what is deleted.
_AGREEMENT_SECONDS = 1.0


class Remote:
    """The registry `registry`, as people write it (`docker.io`), a Store.

    `keyring` has the logins; `environ` names proxies and certificate authorities. It belongs to the
    event loop it is first used in.
    """

    def __init__(
        self, registry: str, keyring: Keyring, options: RemoteOptions, environ: Mapping[str, str]
    ) -> None:
        self._client = RegistryClient(registry, keyring, options, environ)
        self.admission = Admission(self._client, keyring)
        self._tags = TagLists(self._client)
        self._manifests = ManifestReader(self._client, self._tags)
        self._sizes = BlobSizes(self._client)

    @property
    def name(self) -> str:
        """Return the registry as people write it."""
        return self._client.registry

    @property
    def abilities(self) -> Abilities:
        """Return what a registry can do beyond the distribution spec."""
        return Abilities(
            announcing=self,
            admission=self.admission,
            tag_lists=self,
            referrers_doubt=self,
        )

    def expect(self, repositories: Iterable[str], *, push: bool) -> None:
        """Announce repositories that will be used, so that one token may serve them all."""
        self._client.authorizer.expect(repositories, push=push)

    async def manifest_head(self, repository: str, reference: str | Digest) -> ManifestHead | None:
        """Return the head of a manifest, None when the registry says it is unknown."""
        return await self._manifests.of_manifest(repository, reference)

    async def manifest(self, repository: str, reference: str | Digest) -> RawManifest:
        """Return the manifest, verified by the digest asked for or told.

        Raise NotFound if unknown.
        """
        return await self._manifests.manifest(repository, reference)

    async def put_manifest(
        self, repository: str, reference: str | Digest, manifest: RawManifest
    ) -> None:
        """Store `manifest` under a tag or its digest."""
        request = ApiRequest(
            method="PUT",
            repository=repository,
            reference=named(self.name, repository, reference),
            path=f"{repository}/manifests/{reference}",
            headers={"Content-Type": manifest.media_type},
            body=manifest.content,
            expected=frozenset({200, 201, 202, 204}),
            doing="writing the manifest",
            push=True,
        )
        answer = await self._put_patiently(request)
        if not isinstance(reference, Digest):
            self._tags.note(repository, reference)
        if answer.digest is not None:
            verify(manifest, answer.digest, named(self.name, repository, reference))

    async def delete_manifest(
        self, repository: str, digest: Digest, tags: Sequence[str] = ()
    ) -> bool:
        """Delete a manifest and all `tags` that lead to it; return False when it was unknown.

        Raise AccessDenied also when the registry allows no deletion at all, IntegrityError when
        something is still there afterwards.
        """
        self._client.authorizer.expect((repository,), push=True, delete=True)
        self._tags.forget(repository)
        return await Deletion(self._client, self, repository, digest, tags).run()

    async def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        """Return the manifests that name `digest` as their subject."""
        return await referrers(self._client, self, repository, digest)

    def doubts_referrers(self, repository: str) -> str:
        """Return why an empty answer about referrers proves nothing; empty text if it does."""
        return doubt(self._client.capabilities, repository)

    async def blob_size(self, repository: str, digest: Digest) -> int | None:
        """Return the size of a blob in bytes, None when it is not in this repository."""
        return await self._sizes.of(repository, digest)

    @asynccontextmanager
    async def blob(
        self, repository: str, digest: Digest, *, first: int = 0, last: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a blob from byte `first` to `last`; see Store."""
        request = self._sizes.request("GET", repository, digest, {200, 206})
        reader = BlobReader(self._client, request, digest, first, last)
        try:
            await reader.open()
            yield reader.chunks()
        finally:
            reader.close()

    async def mount(self, repository: str, digest: Digest, origin: str) -> RemoteUpload | None:
        """Return None when the blob was mounted from repository `origin`, else an upload.

        A registry that does not mount is not asked again: the upload is a plain one then.
        """
        known, pair = self._client.capabilities, (repository, origin)
        if origin != repository and (not known.mounts or pair in known.no_mounts):
            return await self.upload(repository)
        request = ApiRequest(
            method="POST",
            repository=repository,
            reference=named(self.name, repository, digest),
            path=f"{repository}/blobs/uploads/",
            query={"mount": str(digest), "from": origin},
            expected=frozenset({201, 202}),
            doing=f"mounting from {origin}",
            push=True,
            origin=origin,
        )
        try:
            answer = await self._client.once(request)
            return None if answer.status == 201 else RemoteUpload(self._client, repository, answer)
        except CopyFailed as error:
            if isinstance(error, RateLimited):
                raise
            logger.debug("{}; the blob is uploaded", error)
            if origin == repository:
                raise  # The mount was to find out whether the blob is there.
            # A right that is missing at one origin says nothing about others.
            known.mounts = known.mounts and error.status not in _NO_MOUNT
            if error.status in _ABOUT_ORIGIN:
                known.no_mounts.add(pair)
        return await self.upload(repository)

    async def upload(self, repository: str) -> RemoteUpload:
        """Return a new upload session."""
        answer = await begin_upload(self._client, repository, "beginning an upload")
        return RemoteUpload(self._client, repository, answer)

    async def tags(self, repository: str) -> tuple[str, ...]:
        """Return the tags of a repository, all pages; raise NotFound if unknown."""
        return await self._tags.all(repository)

    async def lists_tag(self, repository: str, tag: str) -> bool | None:
        """Return whether `repository` listed `tag` when it was first asked; None: no list."""
        return await self._tags.holds(repository, tag)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _put_patiently(self, request: ApiRequest) -> ApiAnswer:
        """Return the answer to a manifest, sent once more where a blob just stored is unknown.

        GHCR and Nexus need a moment (konk#626, manifest-tool#191).
        """
        patient = replace(request, expected=request.expected | _NOT_YET)
        answer = await self._client.ask(patient)
        is_unknown = answer.status not in request.expected and answer.code in _UNKNOWN_BLOB
        if is_unknown:
            await asyncio.sleep(self._client.policy.delay)
            answer = await self._client.ask(patient)
        if answer.status in request.expected:
            return answer
        error = self._client.refusal(answer, request)
        error.exhausted = is_unknown
        raise error


@dataclass(frozen=True, slots=True)
class Deletion:
    """The deletion of one manifest of `repository`, with the `tags` that lead to it.

    See "Deleting Manifests" in the distribution spec.
    """

    client: RegistryClient
    store: Remote
    repository: str
    digest: Digest
    tags: Sequence[str] = ()

    async def run(self) -> bool:
        """Delete it; return False when the registry did not know the digest any more.

        Raise AccessDenied when the registry allows no deletion at all, IntegrityError when a tag
        still leads to the manifest afterwards.
        """
        request = self._request(str(self.digest))
        answer = await self.client.ask(request)
        if self.tags and _wants_tags_first(answer):
            await self._delete_tags(self.client.refusal(answer, request))
            answer = await self.client.ask(request)
            if answer.status not in _DELETED | {_UNKNOWN}:
                raise self._after_tags(self.client.refusal(answer, request), self.tags)
        elif self.tags and answer.status == _UNKNOWN:
            # This registry keeps tags apart: they have outlived the manifest.
            await self._delete_tags(self.client.refusal(answer, request))
        if answer.status not in _DELETED | {_UNKNOWN}:
            raise self.client.refusal(answer, request)
        await self._look_again()
        return answer.status in _DELETED

    async def _delete_tags(self, refusal: ImageToolsError) -> None:
        """Delete the tags themselves; raise `refusal` when the first one cannot be deleted."""
        for number, tag in enumerate(self.tags):
            request = self._request(tag)
            answer = await self.client.ask(request)
            if answer.status in _DELETED | {_UNKNOWN}:
                logger.debug("{}: the tag is deleted", request.reference)
            elif number == 0:
                raise refusal
            else:
                error = self.client.refusal(answer, request)
                raise self._after_tags(error, self.tags[:number])

    def _after_tags(self, error: ImageToolsError, tags: Sequence[str]) -> ImageToolsError:
        """Return `error` with the tags that were deleted before it."""
        return error.copied(f"{error.message}; deleted before that: the tags {', '.join(tags)}")

    async def _look_again(self) -> None:
        left = await self._left()
        if left:
            await asyncio.sleep(_AGREEMENT_SECONDS)
            left = await self._left()
        if left:
            shown = ", ".join(named(self.store.name, self.repository, one) for one in left)
            raise IntegrityError(
                f"{shown}: still there after the registry accepted the deletion of {self.digest}",
                advice="run again to delete the tag itself, or delete it with the registry's own"
                " tools",
            )

    async def _left(self) -> list[str | Digest]:
        """Return the tags that still lead to the manifest; without tags, the manifest itself."""
        looked_at: list[str | Digest] = [*self.tags] or [self.digest]
        heads = [await self._head(one) for one in looked_at]
        return [
            one
            for one, head in zip(looked_at, heads, strict=True)
            if head is not None and head.digest == self.digest
        ]

    async def _head(self, reference: str | Digest) -> ManifestHead | None:
        """Return a head after the deletion; some registries forbid what is missing (ggcr#1691)."""
        try:
            return await self.store.manifest_head(self.repository, reference)
        except CopyFailed as error:
            if error.temporary or not error.answered or error.status not in _HIDDEN:
                raise
            logger.debug("{}; taken for gone, the deletion was accepted", error)
            return None

    def _request(self, reference: str) -> ApiRequest:
        is_tag = reference != str(self.digest)
        request = ApiRequest(
            method="DELETE",
            repository=self.repository,
            reference=named(self.store.name, self.repository, reference if is_tag else self.digest),
            path=f"{self.repository}/manifests/{reference}",
            expected=_DELETED | _MAY_BE_ABOUT_TAGS | {_UNKNOWN},
            doing="deleting",
            push=True,
        )
        return replace(request, doing="deleting the tag") if is_tag else request


def _wants_tags_first(answer: ApiAnswer) -> bool:
    """Return whether the refusal names tags; a status alone would delete tags for nothing."""
    is_named = answer.code == _DANGLING or _ABOUT_TAGS.search(answer.everything) is not None
    return answer.status in _MAY_BE_ABOUT_TAGS and is_named
