"""What every store, registry or archive, can do: the OCI distribution spec's questions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest


@dataclass(frozen=True, slots=True)
class ManifestHead:
    """What a HEAD of a manifest tells: its digest, its media type, its size in bytes or None.

    `registry` is the one that answered, which may be a mirror; empty for an archive.
    """

    digest: Digest
    media_type: str
    size: int | None
    registry: str = field(default="", compare=False)


class Upload(Protocol):
    """One upload session of one repository; ends with `commit`, `put` or `abort`."""

    async def append(self, chunks: AsyncIterator[bytes]) -> None:
        """Stream `chunks` behind what was sent before (PATCH)."""

    async def commit(self, digest: Digest) -> None:
        """Close the session: what was sent has `digest` (PUT without a body)."""

    async def put(self, digest: Digest, size: int, chunks: AsyncIterator[bytes]) -> None:
        """Send the whole blob of `size` bytes and close the session (one PUT)."""

    async def abort(self) -> None:
        """Give the session up (DELETE); never raises."""


class Store(Protocol):
    """A registry or an archive. Every method may raise CopyFailed or IntegrityError.

    `reference` is a Digest or, as text, a tag. Idempotent questions are asked again by the store
    itself when the failure may pass; what it raises is final for this attempt.
    """

    @property
    def name(self) -> str:
        """What people call it: `docker.io`, `registry.example:5000`."""

    async def manifest_head(self, repository: str, reference: str | Digest) -> ManifestHead | None:
        """The head of a manifest, or None when the store says it is unknown (404, nothing else)."""

    async def manifest(self, repository: str, reference: str | Digest) -> RawManifest:
        """The manifest, verified when asked for by digest; NotFound when unknown."""

    async def put_manifest(
        self, repository: str, reference: str | Digest, manifest: RawManifest
    ) -> None:
        """Store `manifest` under a tag or its digest."""

    async def blob_size(self, repository: str, digest: Digest) -> int | None:
        """The size of a blob in bytes (HEAD), or None when it is not in this repository."""

    def blob(
        self, repository: str, digest: Digest, *, first: int = 0, last: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """An open blob, streamed in chunks from byte `first` to `last` (inclusive, None = end).

        A body that is cut is continued by Range. A whole blob is verified: the iterator raises
        DigestMismatch at its end when the bytes are wrong. NotFound when unknown.
        """

    async def mount(self, repository: str, digest: Digest, origin: str) -> Upload | None:
        """None when the blob was mounted from repository `origin`, else the upload begun (202)."""

    async def upload(self, repository: str) -> Upload:
        """A new upload session."""

    async def tags(self, repository: str) -> tuple[str, ...]:
        """The tags of a repository; NotFound when unknown."""

    async def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        """The manifests that name `digest` as their subject, from the store's list or its tag."""

    async def close(self) -> None:
        """Give back all connections."""
