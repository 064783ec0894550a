"""The requests that every store answers, registry or archive: those of the distribution spec."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from image_tools.logins.auth_file import Credentials
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class ManifestHead:
    """The answer to a HEAD of a manifest: digest, media type, and size in bytes or None.

    `registry` is the one that answered, which may be a mirror; empty for an archive.
    """

    digest: Digest
    media_type: str
    size: int | None
    registry: str = field(default="", compare=False)


class Upload(Protocol):
    """An upload session of one repository; it ends with `commit`, `put` or `abort`."""

    async def append(self, chunks: AsyncIterator[bytes]) -> None:
        """Send `chunks` after what was sent before (PATCH)."""

    async def commit(self, digest: Digest) -> None:
        """Close the session: what was sent has `digest` (PUT without a body)."""

    async def put(self, digest: Digest, size: int, chunks: AsyncIterator[bytes]) -> None:
        """Send the whole blob of `size` bytes and close the session (one PUT)."""

    async def abort(self) -> None:
        """Abort the session (DELETE); never raises."""


class AnnouncesRepositories(Protocol):
    """A registry that can serve many repositories with one token."""

    def expect(self, repositories: Iterable[str], *, push: bool) -> None:
        """Announce `repositories` that will be read, or written with `push`."""


class ChecksAdmission(Protocol):
    """A registry that can be asked whether it accepts a login and pushes."""

    async def is_plain(self) -> bool:
        """Return whether the registry speaks plain HTTP; raise why it does not answer."""

    async def login(self, repository: str = "") -> Credentials | None:
        """Return the login that the registry accepts, None when there is none for it.

        Raise Unauthorized when the registry refuses the login.
        """

    def use(self, credentials: Credentials) -> None:
        """Use `credentials` from now on."""

    async def try_push(self, repository: str) -> None:
        """Raise the registry's refusal unless `repository` accepts pushes."""


class ListsTags(Protocol):
    """A registry whose list of tags shows what a manifest request may not."""

    async def lists_tag(self, repository: str, tag: str) -> bool | None:
        """Return whether `repository` listed `tag` when it was first asked; None: no list."""


class DoubtsReferrers(Protocol):
    """A registry that may be unable to tell whether a manifest has referrers."""

    def doubts_referrers(self, repository: str) -> str:
        """Return why an empty answer about referrers proves nothing; empty text if it does."""


class CreatesProjects(Protocol):
    """A registry whose repositories lie in projects, which have to exist before a push."""

    async def ensure_project(self, repository: str) -> bool:
        """Create the project of `repository` unless it exists; return whether it was created."""


class FindsHolder(Protocol):
    """A source behind mirrors, which knows the one of them that has an image."""

    async def holder(self, repository: str, digest: Digest) -> tuple[Store, str]:
        """Return the first store that has the manifest `digest`, and the repository there.

        Raise NotFound when none has it.
        """


class Chosen(NamedTuple):
    """The platforms that were chosen when an image was saved; None in a field is all."""

    architectures: frozenset[str] | None
    systems: frozenset[str] | None
    variants: frozenset[str] | None


class ArchivedImages(Protocol):
    """An archive: it knows what was saved, and what it has lost since."""

    async def holds(self, digest: Digest) -> bool:
        """Return whether a blob's bytes are in the archive itself, and not only in its base."""

    async def is_whole(self, digest: Digest) -> bool:
        """Return whether nothing of the image `digest` is missing, here and in its base."""

    def chosen(self, image: Reference) -> Chosen | None:
        """Return the platforms that were chosen when `image` was saved; None if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """The optional abilities of a store, beyond the distribution spec; None for those it lacks."""

    announcing: AnnouncesRepositories | None = None
    admission: ChecksAdmission | None = None
    tag_lists: ListsTags | None = None
    referrers_doubt: DoubtsReferrers | None = None
    projects: CreatesProjects | None = None
    mirrors: FindsHolder | None = None
    archive: ArchivedImages | None = None


class Store(Protocol):
    """A registry or an archive. Every method may raise CopyFailed or IntegrityError.

    `reference` is a Digest or, as text, a tag. The store repeats idempotent requests after
    temporary failures; what it raises is final for this attempt.
    """

    @property
    def name(self) -> str:
        """Return what people call it: `docker.io`, `registry.example:5000`."""

    @property
    def abilities(self) -> Abilities:
        """Return what this store can do beyond the questions below."""

    async def manifest_head(self, repository: str, reference: str | Digest) -> ManifestHead | None:
        """Return the head of a manifest, None when the store says it is unknown (404 only)."""

    async def manifest(self, repository: str, reference: str | Digest) -> RawManifest:
        """Return the manifest, verified if asked for by digest; raise NotFound when unknown."""

    async def put_manifest(
        self, repository: str, reference: str | Digest, manifest: RawManifest
    ) -> None:
        """Store `manifest` under a tag or its digest."""

    async def blob_size(self, repository: str, digest: Digest) -> int | None:
        """Return the size of a blob in bytes (HEAD), None when it is not in this repository."""

    def blob(
        self, repository: str, digest: Digest, *, first: int = 0, last: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a blob, streamed in chunks from byte `first` to `last` (inclusive, None: its end).

        A body that breaks off is continued by Range. A whole blob is verified: the iterator raises
        DigestMismatch at its end when the bytes are wrong. Raise NotFound when unknown.
        """

    async def mount(self, repository: str, digest: Digest, origin: str) -> Upload | None:
        """Return None when the blob was mounted from repository `origin`, else an upload (202)."""

    async def upload(self, repository: str) -> Upload:
        """Return a new upload session."""

    async def tags(self, repository: str) -> tuple[str, ...]:
        """Return the tags of a repository; raise NotFound when unknown."""

    async def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        """Return the manifests whose subject is `digest`, from the API or the referrers tag."""

    async def close(self) -> None:
        """Close all connections."""
