"""Whether a repository has a blob, and how big it is: by HEAD, or in the plain way."""

from __future__ import annotations

from collections.abc import Iterable

from image_tools.errors import ImageToolsError, NotFound, Unavailable
from image_tools.oci.digest import Digest
from image_tools.stores.remote.client import RegistryClient
from image_tools.stores.remote.questions import Question
from image_tools.stores.remote.reading import BlobReader
from image_tools.web.address import named

# A URL that is signed for GET refuses a HEAD (pulp_container#579).
_NO_HEAD = frozenset({400, 403, 405, 406, 409, 410, 412, 415, 416, 422, 451, 501})
_EMPTY = Digest.of(b"")


class BlobSizes:
    """Finds out what blobs one registry has, without reading them where it can."""

    def __init__(self, client: RegistryClient) -> None:
        self._client, self._known = client, client.capabilities

    async def of(self, repository: str, digest: Digest) -> int | None:
        """The size of a blob in bytes, or None when it is not in this repository."""
        if not self._known.blob_heads:
            return await self._by_content(repository, digest)
        question = self.question("HEAD", repository, digest, {200, 404, *_NO_HEAD})
        try:
            answer = await self._client.ask(question)
        except Unavailable as error:
            return await self._in_place_of(error, repository, digest)
        if self._client.says_unknown(answer):
            return None
        # Some gateways say 0 of everything they have no body for.
        says_nothing = not answer.length and digest != _EMPTY
        if answer.status != 200 or answer.length is None or says_nothing:
            size = await self._by_content(repository, digest)
            self._known.blob_heads = False
            return size
        return answer.length

    def question(
        self, method: str, repository: str, digest: Digest, expected: Iterable[int]
    ) -> Question:
        """The question for a blob, or for its head."""
        return Question(
            method=method,
            repository=repository,
            reference=named(self._client.registry, repository, digest),
            path=f"{repository}/blobs/{digest}",
            expected=frozenset(expected),
        )

    async def _in_place_of(self, error: Unavailable, repository: str, digest: Digest) -> int | None:
        """The size as a GET tells it where a HEAD fails; `error` where that fails as well."""
        if not error.answered:
            raise error
        try:
            size = await self._by_content(repository, digest, once=True)
        except ImageToolsError as second:
            raise error from second
        self._known.note_failing_head(error, blobs=True)
        return size

    async def _by_content(
        self, repository: str, digest: Digest, *, once: bool = False
    ) -> int | None:
        """The size as a GET of the first byte tells it: for registries and caches without HEAD.

        Where that tells nothing either, the blob is read and counted.
        """
        question = self.question("GET", repository, digest, {200, 206})
        reader = BlobReader(self._client, question, digest, first=0, last=0)
        try:
            await reader.open(once=once)
        except NotFound:
            return None
        finally:
            reader.close()
        return await self._counted(question, digest) if reader.total is None else reader.total

    async def _counted(self, question: Question, digest: Digest) -> int:
        reader, size = BlobReader(self._client, question, digest), 0
        try:
            await reader.open()
            async for chunk in reader.chunks():
                size += len(chunk)
        finally:
            reader.close()
        return size
