"""Manifests and their heads, which are asked for by HEAD, or in the plain way where that fails."""

from __future__ import annotations

from collections.abc import Iterable

from image_tools.errors import (
    AccessDenied,
    CopyFailed,
    Deferred,
    ImageToolsError,
    NotFound,
    Unavailable,
)
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.stores.remote.client import RegistryClient
from image_tools.stores.remote.manifests import (
    digest_of,
    media_type_of,
    refuse_other,
    told_type,
    verify,
)
from image_tools.stores.remote.questions import Answer, Counts, Question
from image_tools.stores.remote.tags import TagLists
from image_tools.stores.store import ManifestHead
from image_tools.web.address import named

_ACCEPT = {"Accept": ", ".join(media.ACCEPTED)}
FORBIDDEN = 403
_NO_HEAD = frozenset({405, 501})
# A HEAD has no body: policies say why in the answer to a GET alone (harbor#15283, #19408).
_NO_WORDS = frozenset({400, FORBIDDEN, 406, 409, 410, 412, 415, 422, 451})


class Heads:
    """Reads manifests of one registry, and finds out which it has without reading them."""

    def __init__(self, client: RegistryClient, tags: TagLists) -> None:
        self._client, self._tags = client, tags
        self._known = client.capabilities

    async def of_manifest(self, repository: str, reference: str | Digest) -> ManifestHead | None:
        """The head of a manifest, or None when the registry says it is unknown.

        A registry that gives no usable digest, or does not answer the HEAD, is asked for the
        manifest: once, for its words, within the pull limit. A media type that says nothing is
        empty.
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
        """The manifest, verified by the digest asked for or told; NotFound when unknown."""
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
        refusal = self._client.refusal(answer, self._question("HEAD", repository, reference, ()))
        found = await self._in_place_of(refusal, repository, reference)
        self._known.heads = found is None and answer.status not in _NO_HEAD
        return found

    async def _ask_head(self, repository: str, reference: str | Digest) -> Answer:
        """The answer to a HEAD; DigestMismatch when it is about something else."""
        expected = frozenset({200, 404}) | _NO_HEAD | _NO_WORDS
        answer = await self._client.once(self._question("HEAD", repository, reference, expected))
        if answer.status == 200 and isinstance(reference, Digest):
            place = named(self._client.registry, repository, reference)
            refuse_other(answer.digest, reference, place)
        return answer

    async def _is_absent(
        self, error: AccessDenied, repository: str, reference: str | Digest
    ) -> bool:
        """Whether a 403 is about a tag that does not exist (cosign#2973, ggcr#1691).

        The list of tags tells; where there is none, a repository that takes pushes hides no tag.
        """
        if error.status != FORBIDDEN or isinstance(reference, Digest):
            return False
        is_listed = await self._tags.holds(repository, reference)
        return repository in self._known.writable if is_listed is None else not is_listed

    async def _in_place_of(
        self, refusal: ImageToolsError, repository: str, reference: str | Digest
    ) -> ManifestHead | None:
        """The head as a GET gives it, or the refusal in the registry's words: a HEAD has none."""
        if isinstance(refusal, CopyFailed) and not refusal.answered:
            raise refusal
        question = self._question("GET", repository, reference, {200, 404})
        try:
            # What has been asked often enough is asked once more, and then given up.
            ask = self._client.once if refusal.exhausted else self._client.ask
            answer = await ask(question)
        except Deferred:
            # Where HEAD is what is refused, the GET tells more: there is no room for it yet.
            if _says_nothing(refusal) or not self._known.heads:
                raise
            raise refusal from None
        except ImageToolsError as error:
            error.exhausted = error.exhausted or refusal.exhausted
            raise error from refusal
        if answer.status != 200:
            if self._client.says_unknown(answer):
                return None
            raise self._client.refusal(answer, question)
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
        answer = await self._client.once(self._question("GET", repository, reference, {200}))
        return self._as_manifest(answer, repository, reference)

    def _as_manifest(self, answer: Answer, repository: str, reference: str | Digest) -> RawManifest:
        content = answer.body
        manifest = RawManifest(media_type_of(answer.media_type, content), content)
        digest = reference if isinstance(reference, Digest) else answer.digest
        if digest is not None:
            verify(manifest, digest, named(self._client.registry, repository, reference))
        return manifest

    def _question(
        self, method: str, repository: str, reference: str | Digest, expected: Iterable[int]
    ) -> Question:
        return Question(
            method=method,
            repository=repository,
            reference=named(self._client.registry, repository, reference),
            path=f"{repository}/manifests/{reference}",
            headers=_ACCEPT,
            expected=frozenset(expected),
            counts=Counts.HEAD if method == "HEAD" else Counts.PULL,
        )


def _says_nothing(refusal: ImageToolsError) -> bool:
    """Whether a HEAD was refused as such, which says nothing of the manifest."""
    status = refusal.status if isinstance(refusal, CopyFailed) else None
    return status is None or status == 200 or status in _NO_HEAD or status == 500
