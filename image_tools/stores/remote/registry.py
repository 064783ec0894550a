"""A registry as a store: the OCI distribution spec's questions over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial

from yarl import URL

from image_tools.errors import NotFound, Unavailable
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import is_tag
from image_tools.stores.remote.address import follow, named, next_page
from image_tools.stores.remote.admission import Admission
from image_tools.stores.remote.client import RegistryClient, RemoteOptions
from image_tools.stores.remote.credentials import Keyring
from image_tools.stores.remote.deleting import delete_manifest
from image_tools.stores.remote.failures import means_unknown
from image_tools.stores.remote.manifests import digest_of, media_type_of, refuse_other, verify
from image_tools.stores.remote.questions import Answer, Counts, Question
from image_tools.stores.remote.reading import BlobReader
from image_tools.stores.remote.referrers import referrers
from image_tools.stores.remote.uploads import RemoteUpload
from image_tools.stores.store import ManifestHead

__all__ = ["Remote", "RemoteOptions"]

MOST_PAGES = 1000
MOST_BYTES_OF_TAGS = 16 * 1024 * 1024
MOST_TAGS = 1_000_000
_ACCEPT = {"Accept": ", ".join(media.ACCEPTED)}
_NO_HEAD = frozenset({405, 501})
_EMPTY = Digest.of(b"")


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
        self.lists_referrers = True

    @property
    def name(self) -> str:
        """The registry as people write it."""
        return self._client.registry

    def expect(self, repositories: Iterable[str], *, push: bool) -> None:
        """Say which repositories will be asked about, so that one token may serve them all."""
        self._client.authorizer.expect(repositories, push=push)

    async def manifest_head(self, repository: str, reference: str | Digest) -> ManifestHead | None:
        """The head of a manifest, or None when the registry says it is unknown.

        A registry that gives no usable digest, or no plain answer, is asked for the manifest.
        """
        answer = await self._client.repeat(lambda: self._ask_head(repository, reference))
        if means_unknown(answer):
            return None
        digest = answer.digest
        if answer.status != 200 or digest is None:
            return await self._head_by_content(repository, reference)
        return ManifestHead(digest, answer.media_type, answer.length, self.name)

    async def manifest(self, repository: str, reference: str | Digest) -> RawManifest:
        """The manifest, verified by the digest asked for or told; NotFound when unknown."""
        return await self._client.repeat(lambda: self._read_manifest(repository, reference))

    async def put_manifest(
        self, repository: str, reference: str | Digest, manifest: RawManifest
    ) -> None:
        """Store `manifest` under a tag or its digest."""
        answer = await self._client.ask(
            Question(
                method="PUT",
                repository=repository,
                reference=named(self.name, repository, reference),
                path=f"{repository}/manifests/{reference}",
                headers={"Content-Type": manifest.media_type},
                body=manifest.content,
                expected=frozenset({200, 201, 202}),
                doing="writing the manifest",
                push=True,
            )
        )
        if answer.digest is not None:
            verify(manifest, answer.digest, named(self.name, repository, reference))

    async def delete_manifest(self, repository: str, digest: Digest) -> bool:
        """Delete a manifest, and with it every tag that leads to it; False when it was not there.

        AccessDenied also when the registry does not allow deleting at all.
        """
        self._client.authorizer.expect((repository,), push=True, delete=True)
        reference = named(self.name, repository, digest)
        return await delete_manifest(self.ask, repository, str(digest), reference)

    async def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        """The manifests that name `digest` as their subject."""
        return await referrers(self, repository, digest)

    async def ask(self, question: Question) -> Answer:
        """The answer to a question of the specification that may be repeated."""
        return await self._client.ask(question)

    def following(self, answer: Answer, reference: str) -> URL | None:
        """Where the next page of a list is, None after the last one."""
        target = next_page(answer.headers.get("Link", ""))
        if target is None:
            return None
        allows_plain = self._client.allows_plain(answer.url)
        return follow(answer.url, target, reference, allows_plain=allows_plain)

    async def blob_size(self, repository: str, digest: Digest) -> int | None:
        """The size of a blob in bytes, or None when it is not in this repository."""
        expected = frozenset({200, 404}) | _NO_HEAD
        answer = await self._client.ask(self._blob("HEAD", repository, digest, expected))
        if means_unknown(answer):
            return None
        # Some gateways say 0 of everything they have no body for.
        says_nothing = not answer.length and digest != _EMPTY
        if answer.status != 200 or answer.length is None or says_nothing:
            return await self._size_by_content(repository, digest)
        return answer.length

    @asynccontextmanager
    async def blob(
        self, repository: str, digest: Digest, *, first: int = 0, last: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """An open blob, from byte `first` to `last`; see Store."""
        question = self._blob("GET", repository, digest, {200, 206})
        reader = BlobReader(self._client, question, digest, first, last)
        try:
            await reader.open()
            yield reader.chunks()
        finally:
            reader.close()

    async def mount(self, repository: str, digest: Digest, origin: str) -> RemoteUpload | None:
        """None when the blob was mounted from repository `origin`, else the upload begun."""
        answer = await self._client.ask(
            Question(
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
        )
        return None if answer.status == 201 else RemoteUpload(self._client, repository, answer)

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
        question, found = self._page(repository), dict[str, None]()
        for _ in range(MOST_PAGES):
            answer, names = await self._client.repeat(partial(self._names, question))
            found.update(dict.fromkeys(names))
            following = self.following(answer, question.reference)
            if following is None:
                return tuple(found)
            if following == answer.url or len(found) > MOST_TAGS:
                break
            question = self._page(repository, following)
        raise Unavailable(f"{named(self.name, repository)}: the list of tags does not end")

    async def close(self) -> None:
        """Give back all connections."""
        await self._client.close()

    async def _ask_head(self, repository: str, reference: str | Digest) -> Answer:
        """The answer to a HEAD; DigestMismatch when it is about something else."""
        expected = frozenset({200, 404}) | _NO_HEAD
        answer = await self._client.once(self._manifest("HEAD", repository, reference, expected))
        if answer.status == 200 and isinstance(reference, Digest):
            refuse_other(answer.digest, reference, named(self.name, repository, reference))
        return answer

    async def _read_manifest(self, repository: str, reference: str | Digest) -> RawManifest:
        answer = await self._client.once(self._manifest("GET", repository, reference, {200}))
        content = answer.body
        manifest = RawManifest(media_type_of(answer.media_type, content), content)
        digest = reference if isinstance(reference, Digest) else answer.digest
        if digest is not None:
            verify(manifest, digest, named(self.name, repository, reference))
        return manifest

    async def _head_by_content(
        self, repository: str, reference: str | Digest
    ) -> ManifestHead | None:
        try:
            manifest = await self.manifest(repository, reference)
        except NotFound:
            return None
        digest = reference if isinstance(reference, Digest) else digest_of(manifest)
        return ManifestHead(digest, manifest.media_type, len(manifest.content), self.name)

    async def _size_by_content(self, repository: str, digest: Digest) -> int | None:
        """The size as a GET of the first byte tells it: for registries and caches without HEAD."""
        question = self._blob("GET", repository, digest, {200, 206})
        reader = BlobReader(self._client, question, digest, first=0, last=0)
        try:
            await reader.open()
        except NotFound:
            return None
        finally:
            reader.close()
        if reader.total is None:
            raise Unavailable(
                f"{question.reference}: the registry does not tell the size",
                advice="look for a proxy before the registry that changes its answers",
            )
        return reader.total

    def _manifest(
        self, method: str, repository: str, reference: str | Digest, expected: Iterable[int]
    ) -> Question:
        return Question(
            method=method,
            repository=repository,
            reference=named(self.name, repository, reference),
            path=f"{repository}/manifests/{reference}",
            headers=_ACCEPT,
            expected=frozenset(expected),
            counts=Counts.HEAD if method == "HEAD" else Counts.PULL,
        )

    def _blob(
        self, method: str, repository: str, digest: Digest, expected: Iterable[int]
    ) -> Question:
        return Question(
            method=method,
            repository=repository,
            reference=named(self.name, repository, digest),
            path=f"{repository}/blobs/{digest}",
            expected=frozenset(expected),
        )

    async def _names(self, question: Question) -> tuple[Answer, tuple[str, ...]]:
        """One page of tags; what cannot be read may have been cut on its way."""
        answer = await self._client.once(question)
        return answer, _tags(answer, question.reference)

    def _page(self, repository: str, url: URL | None = None) -> Question:
        return Question(
            method="GET",
            repository=repository,
            reference=named(self.name, repository),
            path=f"{repository}/tags/list",
            url=url,
            limit=MOST_BYTES_OF_TAGS,
            doing="reading the tags",
        )


def _tags(answer: Answer, reference: str) -> tuple[str, ...]:
    """The tags of one page, without what cannot be one; Unavailable when it is no list of tags."""
    try:
        names = json.loads(answer.body)["tags"] or ()
        return tuple(name for name in names if isinstance(name, str) and is_tag(name))
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise Unavailable(f"{reference}: the registry's list of tags cannot be read") from error
