"""A registry as a store: the OCI distribution spec's questions over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from loguru import logger
from yarl import URL

from image_tools.errors import (
    CopyFailed,
    ImageToolsError,
    RateLimited,
)
from image_tools.logins.credentials import Keyring
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.stores.remote.admission import Admission
from image_tools.stores.remote.blob_sizes import BlobSizes
from image_tools.stores.remote.capabilities import Capabilities
from image_tools.stores.remote.client import RegistryClient, RemoteOptions
from image_tools.stores.remote.deleting import Deletion
from image_tools.stores.remote.heads import Heads
from image_tools.stores.remote.manifests import verify
from image_tools.stores.remote.questions import Answer, Question
from image_tools.stores.remote.reading import BlobReader
from image_tools.stores.remote.referrers import doubt, referrers
from image_tools.stores.remote.tags import TagLists, following
from image_tools.stores.remote.uploads import RemoteUpload
from image_tools.stores.store import Abilities, ManifestHead
from image_tools.web.address import named

__all__ = ["Remote", "RemoteOptions"]

# Harbor, jib#703, kaniko#1013.
_NO_MOUNT = frozenset({400, 405, 406, 409, 410, 415, 422, 500, 501})
_ABOUT_ORIGIN = frozenset({401, 403, 404})
_NOT_YET = frozenset({400, 404})
_UNKNOWN_BLOB = frozenset({"BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN"})


class Remote:
    """The registry `registry`, as people write it (`docker.io`), a Store.

    `keyring` knows the credentials, `environ` proxies and authorities. It belongs to the event
    loop it is first used in.
    """

    def __init__(
        self, registry: str, keyring: Keyring, options: RemoteOptions, environ: Mapping[str, str]
    ) -> None:
        self._client = RegistryClient(registry, keyring, options, environ)
        self.admission = Admission(self._client, keyring)
        self._tags = TagLists(self._client)
        self._heads = Heads(self._client, self._tags)
        self._sizes = BlobSizes(self._client)

    @property
    def name(self) -> str:
        """The registry as people write it."""
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
        """Say which repositories will be asked about, so that one token may serve them all."""
        self._client.authorizer.expect(repositories, push=push)

    async def manifest_head(self, repository: str, reference: str | Digest) -> ManifestHead | None:
        """The head of a manifest, or None when the registry says it is unknown."""
        return await self._heads.of_manifest(repository, reference)

    async def manifest(self, repository: str, reference: str | Digest) -> RawManifest:
        """The manifest, verified by the digest asked for or told; NotFound when unknown."""
        return await self._heads.manifest(repository, reference)

    async def put_manifest(
        self, repository: str, reference: str | Digest, manifest: RawManifest
    ) -> None:
        """Store `manifest` under a tag or its digest."""
        question = Question(
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
        answer = await self._put_patiently(question)
        if not isinstance(reference, Digest):
            self._tags.note(repository, reference)
        if answer.digest is not None:
            verify(manifest, answer.digest, named(self.name, repository, reference))

    async def delete_manifest(
        self, repository: str, digest: Digest, tags: Sequence[str] = ()
    ) -> bool:
        """Delete a manifest, and with it all `tags` that lead to it; False when it was not there.

        AccessDenied also when the registry does not allow deleting at all; IntegrityError when
        something is still there afterwards.
        """
        self._client.authorizer.expect((repository,), push=True, delete=True)
        self._tags.forget(repository)
        return await Deletion(self, repository, digest, tags).run()

    async def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        """The manifests that name `digest` as their subject."""
        return await referrers(self, repository, digest)

    @property
    def capabilities(self) -> Capabilities:
        """What the registry turned out to be able to do."""
        return self._client.capabilities

    def doubts_referrers(self, repository: str) -> str:
        """Why it is not known whether manifests of a repository have referrers; empty if it is."""
        return doubt(self.capabilities, repository)

    async def ask(self, question: Question) -> Answer:
        """The answer to a question of the specification that may be repeated."""
        return await self._client.ask(question)

    async def once(self, question: Question) -> Answer:
        """The answer to a question that is not repeated, whatever fails."""
        return await self._client.once(question)

    def refusal(self, answer: Answer, question: Question) -> ImageToolsError:
        """The failure that an answer means which the question expected."""
        return self._client.refusal(answer, question)

    def following(self, answer: Answer, reference: str) -> URL | None:
        """Where the next page of a list is, None after the last one."""
        return following(self._client, answer, reference)

    async def blob_size(self, repository: str, digest: Digest) -> int | None:
        """The size of a blob in bytes, or None when it is not in this repository."""
        return await self._sizes.of(repository, digest)

    @asynccontextmanager
    async def blob(
        self, repository: str, digest: Digest, *, first: int = 0, last: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """An open blob, from byte `first` to `last`; see Store."""
        question = self._sizes.question("GET", repository, digest, {200, 206})
        reader = BlobReader(self._client, question, digest, first, last)
        try:
            await reader.open()
            yield reader.chunks()
        finally:
            reader.close()

    async def mount(self, repository: str, digest: Digest, origin: str) -> RemoteUpload | None:
        """None when the blob was mounted from repository `origin`, else the upload begun.

        Where the registry does not mount, that is a plain upload; it is asked no more then.
        """
        known, pair = self.capabilities, (repository, origin)
        if origin != repository and (not known.mounts or pair in known.no_mounts):
            return await self.upload(repository)
        question = Question(
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
            answer = await self._client.once(question)
            return None if answer.status == 201 else RemoteUpload(self._client, repository, answer)
        except CopyFailed as error:
            if isinstance(error, RateLimited):
                raise
            logger.debug("{}; the blob is uploaded", error)
            if origin == repository:
                raise  # That was to find out whether the blob is there: no upload tells.
            # A right that is missing at the origin says nothing of other repositories.
            known.mounts = known.mounts and error.status not in _NO_MOUNT
            if error.status in _ABOUT_ORIGIN:
                known.no_mounts.add(pair)
        return await self.upload(repository)

    async def upload(self, repository: str) -> RemoteUpload:
        """A new upload session."""
        answer = await self._client.ask(
            Question(
                method="POST",
                repository=repository,
                reference=named(self.name, repository),
                path=f"{repository}/blobs/uploads/",
                expected=frozenset({202}),
                doing="beginning an upload",
                push=True,
            )
        )
        return RemoteUpload(self._client, repository, answer)

    async def tags(self, repository: str) -> tuple[str, ...]:
        """The tags of a repository, all pages; NotFound when unknown."""
        return await self._tags.all(repository)

    async def lists_tag(self, repository: str, tag: str) -> bool | None:
        """Whether the repository listed `tag` when it was first asked; None: it lists none."""
        return await self._tags.holds(repository, tag)

    async def close(self) -> None:
        """Give back all connections."""
        await self._client.close()

    async def _put_patiently(self, question: Question) -> Answer:
        """The answer to a manifest; asked once more where a blob that was just stored is unknown.

        GHCR and Nexus take a moment (konk#626, manifest-tool#191).
        """
        patient = replace(question, expected=question.expected | _NOT_YET)
        answer = await self._client.ask(patient)
        is_unknown = answer.status not in question.expected and answer.code in _UNKNOWN_BLOB
        if is_unknown:
            await asyncio.sleep(self._client.policy.delay)
            answer = await self._client.ask(patient)
        if answer.status in question.expected:
            return answer
        error = self._client.refusal(answer, question)
        error.exhausted = is_unknown
        raise error
