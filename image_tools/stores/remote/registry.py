"""A registry as a store: the OCI distribution spec's questions over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from loguru import logger
from yarl import URL

from image_tools.errors import (
    CopyFailed,
    Deferred,
    ImageToolsError,
    NotFound,
    RateLimited,
    Unavailable,
)
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import is_tag
from image_tools.stores.remote.address import follow, named, next_page
from image_tools.stores.remote.admission import Admission
from image_tools.stores.remote.capabilities import Capabilities
from image_tools.stores.remote.client import RegistryClient, RemoteOptions
from image_tools.stores.remote.credentials import Keyring
from image_tools.stores.remote.deleting import Deletion, never
from image_tools.stores.remote.manifests import (
    digest_of,
    media_type_of,
    refuse_other,
    told_type,
    verify,
)
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
# A HEAD has no body: policies say why in the answer to a GET alone (harbor#15283, #19408).
_NO_WORDS = frozenset({400, 403, 412, 451})
# A URL that is signed for GET refuses a HEAD (pulp_container#579).
_NO_HEAD_OF_BLOB = frozenset({400, 403, 406, 412, 416, 422, 451})
# Harbor, jib#703, kaniko#1013.
_NO_MOUNT = frozenset({400, 405, 406, 409, 410, 415, 422, 500, 501})
_NOT_YET = frozenset({400, 404})
_UNKNOWN_BLOB = frozenset({"BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN"})
_BESIDE_TAGS = frozenset({"name", "child", "manifest"})
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

    @property
    def name(self) -> str:
        """The registry as people write it."""
        return self._client.registry

    def expect(self, repositories: Iterable[str], *, push: bool) -> None:
        """Say which repositories will be asked about, so that one token may serve them all."""
        self._client.authorizer.expect(repositories, push=push)

    async def manifest_head(self, repository: str, reference: str | Digest) -> ManifestHead | None:
        """The head of a manifest, or None when the registry says it is unknown.

        A registry that gives no usable digest, or refuses the HEAD, is asked for the manifest:
        once, for its words, within the pull limit. A media type that says nothing is empty.
        """
        if not self.capabilities.heads:
            return await self._head_by_content(repository, reference)
        try:
            answer = await self._client.repeat(lambda: self._ask_head(repository, reference))
        except Unavailable as error:
            return await self._head_in_place_of(error, repository, reference)
        if self._client.says_unknown(answer):
            return None
        digest = answer.digest
        if answer.status == 200 and digest is not None:
            media_type = told_type(answer.media_type)
            return ManifestHead(digest, media_type, answer.length or None, self.name)
        refusal = self._client.refusal(answer, self._manifest("HEAD", repository, reference, ()))
        return await self._head_in_place_of(refusal, repository, reference)

    async def manifest(self, repository: str, reference: str | Digest) -> RawManifest:
        """The manifest, verified by the digest asked for or told; NotFound when unknown."""
        return await self._client.repeat(lambda: self._read_manifest(repository, reference))

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
        return await Deletion(self, repository, digest, tags).run()

    async def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        """The manifests that name `digest` as their subject."""
        return await referrers(self, repository, digest)

    @property
    def capabilities(self) -> Capabilities:
        """What the registry turned out to be able to do."""
        return self._client.capabilities

    async def ask(self, question: Question) -> Answer:
        """The answer to a question of the specification that may be repeated."""
        return await self._client.ask(question)

    async def once(self, question: Question) -> Answer:
        """The answer to a question that is not repeated, whatever fails."""
        return await self._client.once(question)

    def refusal(self, answer: Answer, question: Question) -> ImageToolsError:
        """The failure that an answer means which the question expected."""
        return never(answer, question) or self._client.refusal(answer, question)

    def following(self, answer: Answer, reference: str) -> URL | None:
        """Where the next page of a list is, None after the last one."""
        target = next_page(answer.fields("Link"))
        if target is None:
            return None
        allows_plain = self._client.allows_plain(answer.url)
        return follow(answer.url, target, reference, allows_plain=allows_plain)

    async def blob_size(self, repository: str, digest: Digest) -> int | None:
        """The size of a blob in bytes, or None when it is not in this repository."""
        if not self.capabilities.blob_heads:
            return await self._size_by_content(repository, digest)
        expected = frozenset({200, 404}) | _NO_HEAD | _NO_HEAD_OF_BLOB
        answer = await self._client.ask(self._blob("HEAD", repository, digest, expected))
        if self._client.says_unknown(answer):
            return None
        # Some gateways say 0 of everything they have no body for.
        says_nothing = not answer.length and digest != _EMPTY
        if answer.status != 200 or answer.length is None or says_nothing:
            size = await self._size_by_content(repository, digest)
            self.capabilities.blob_heads = False
            return size
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
        """None when the blob was mounted from repository `origin`, else the upload begun.

        Where the registry does not mount, that is a plain upload; it is asked no more then.
        """
        if not self.capabilities.mounts and origin != repository:
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
            self.capabilities.mounts = error.status not in _NO_MOUNT
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

    async def _put_patiently(self, question: Question) -> Answer:
        """The answer to a manifest; asked once more where a blob that was just stored is unknown.

        GHCR and Nexus take a moment (konk#626, manifest-tool#191).
        """
        patient = replace(question, expected=question.expected | _NOT_YET)
        answer = await self._client.ask(patient)
        if answer.status in question.expected:
            return answer
        if answer.code not in _UNKNOWN_BLOB:
            raise self._client.refusal(answer, question)
        await asyncio.sleep(self._client.policy.delay)
        return await self._client.ask(question)

    async def _ask_head(self, repository: str, reference: str | Digest) -> Answer:
        """The answer to a HEAD; DigestMismatch when it is about something else."""
        expected = frozenset({200, 404}) | _NO_HEAD | _NO_WORDS
        answer = await self._client.once(self._manifest("HEAD", repository, reference, expected))
        if answer.status == 200 and isinstance(reference, Digest):
            refuse_other(answer.digest, reference, named(self.name, repository, reference))
        return answer

    async def _read_manifest(self, repository: str, reference: str | Digest) -> RawManifest:
        answer = await self._client.once(self._manifest("GET", repository, reference, {200}))
        return self._as_manifest(answer, repository, reference)

    def _as_manifest(self, answer: Answer, repository: str, reference: str | Digest) -> RawManifest:
        content = answer.body
        manifest = RawManifest(media_type_of(answer.media_type, content), content)
        digest = reference if isinstance(reference, Digest) else answer.digest
        if digest is not None:
            verify(manifest, digest, named(self.name, repository, reference))
        return manifest

    async def _head_in_place_of(
        self, refusal: ImageToolsError, repository: str, reference: str | Digest
    ) -> ManifestHead | None:
        """The head as a GET gives it, or the refusal in the registry's words: a HEAD has none."""
        if isinstance(refusal, CopyFailed) and refusal.status is None:
            raise refusal
        question = self._manifest("GET", repository, reference, {200, 404})
        try:
            # What has been asked often enough is asked once more, and then given up.
            ask = self._client.once if refusal.exhausted else self._client.ask
            answer = await ask(question)
        except Deferred:
            raise refusal from None
        except ImageToolsError as error:
            error.exhausted = error.exhausted or refusal.exhausted
            raise error from refusal
        if answer.status != 200:
            if self._client.says_unknown(answer):
                return None
            raise self._client.refusal(answer, question)
        self.capabilities.heads = False
        return self._head_of(self._as_manifest(answer, repository, reference), reference)

    async def _head_by_content(
        self, repository: str, reference: str | Digest
    ) -> ManifestHead | None:
        try:
            manifest = await self.manifest(repository, reference)
        except NotFound:
            return None
        return self._head_of(manifest, reference)

    def _head_of(self, manifest: RawManifest, reference: str | Digest) -> ManifestHead:
        digest = reference if isinstance(reference, Digest) else digest_of(manifest)
        return ManifestHead(digest, manifest.media_type, len(manifest.content), self.name)

    async def _size_by_content(self, repository: str, digest: Digest) -> int | None:
        """The size as a GET of the first byte tells it: for registries and caches without HEAD.

        Where that tells nothing either, the blob is read and counted.
        """
        question = self._blob("GET", repository, digest, {200, 206})
        reader = BlobReader(self._client, question, digest, first=0, last=0)
        try:
            await reader.open()
        except NotFound:
            return None
        finally:
            reader.close()
        if reader.total is not None:
            return reader.total
        async with self.blob(repository, digest) as chunks:
            return sum([len(chunk) async for chunk in chunks])

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
        document = json.loads(answer.body)
        # Servers in Go leave an empty list out; a list under another name is a broken answer.
        names = document["tags"] if document.keys() - _BESIDE_TAGS else document.get("tags", ())
        names = names or ()
        return tuple(name for name in names if isinstance(name, str) and is_tag(name))
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise Unavailable(f"{reference}: the registry's list of tags cannot be read") from error
