"""Sessions: the addresses under which a tool sees one repository of one store."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from loguru import logger

from image_tools.errors import ImageToolsError, IntegrityError, NotFound, UnknownFailure
from image_tools.exchange.ledger import Flight, Ledger, Traffic
from image_tools.exchange.presence import check_kept
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.stores.store import Store, Upload

SizeOf = Callable[[Digest], Awaitable[int | None]]
ManifestCheck = Callable[[RawManifest], str | None]


def _nobody(_path: str) -> ToolSession | None:
    return None


@dataclass(frozen=True, slots=True)
class TrackedStore:
    """A destination store with its ledger."""

    store: Store
    ledger: Ledger

    async def put_manifest(
        self, repository: str, reference: str | Digest, raw: RawManifest
    ) -> None:
        """Store `raw`.

        Raise IntegrityError when the store failed on it before, and still does not return it.
        """
        await self.store.put_manifest(repository, reference, raw)
        if not self.ledger.is_doubted(repository, raw.digest):
            return
        head = await self.store.manifest_head(repository, raw.digest)
        if head is None or head.digest != raw.digest:
            raise IntegrityError(
                f"{self.store.name}/{repository}@{raw.digest}: the registry accepted the manifest"
                " and does not return it",
                advice="its storage is damaged: remove that manifest there and run again",
            )


@dataclass(slots=True, eq=False, kw_only=True)
class PendingUpload:
    """Something with an `upload` of the store that may have to be aborted."""

    upload: Upload | None = None

    async def give_up(self) -> None:
        """Abort the upload, if there is one."""
        if self.upload is not None:
            await self.upload.abort()


@dataclass(slots=True, eq=False, kw_only=True)
class ToolUpload(PendingUpload):
    """An upload that a tool has begun: the bytes `received` so far, and their sha256."""

    received: int = 0
    hasher: hashlib._Hash = field(default_factory=hashlib.sha256)


@dataclass(slots=True, eq=False, kw_only=True)
class AwaitedBlob(PendingUpload):
    """A blob that the tool was told to send; a refused mount began its `upload`."""

    flight: Flight


@dataclass(slots=True, eq=False, kw_only=True)
class ToolSession:
    """One repository of one store, open to one run of one tool.

    `manifests`, `sizes` and `blobs` are answered from memory. A destination has a `ledger`; there
    `expected` are the sizes that blobs must have to count as present, and `origin_size` looks up
    other sizes. `check` returns why a pushed manifest must not be stored, or None; one that is
    `withheld` is accepted and not stored. Manifests in `behind` are stored while the tool goes on;
    every other push waits for them. `find` returns the session of a `<key>/<repository>` path, for
    mounts. With `tags_become_digests` a push by tag is stored by digest, so that no tag is left
    behind. With `hides_tags` no tag exists here: a tool that skips the push of an unchanged tag
    pushes all the same.
    """

    key: str
    store: Store
    repository: str
    traffic: Traffic
    ledger: Ledger | None = None
    manifests: dict[Digest, RawManifest] = field(default_factory=dict)
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    sizes: dict[Digest, int] = field(default_factory=dict)
    expected: dict[Digest, int] = field(default_factory=dict)
    origin_size: SizeOf | None = None
    check: ManifestCheck | None = None
    withheld: frozenset[Digest] = frozenset()
    behind: frozenset[Digest] = frozenset()
    tags_become_digests: bool = False
    hides_tags: bool = False
    pushed: list[RawManifest] = field(default_factory=list)
    refusal: str | None = None
    cause: ImageToolsError | None = None
    awaited: dict[Digest, AwaitedBlob] = field(default_factory=dict)
    uploads: dict[str, ToolUpload] = field(default_factory=dict)
    find: Callable[[str], ToolSession | None] = _nobody
    answering: set[asyncio.Task[Any]] = field(default_factory=set)
    _storing: dict[Digest, asyncio.Task[None]] = field(default_factory=dict)
    _endings: dict[Digest, asyncio.Lock] = field(default_factory=dict)

    def blame(self, error: ImageToolsError) -> None:
        """Keep `error` as the cause of the tool's failure, unless there is a better one.

        The first error causes the later ones; only unknown content may have been a mere look.
        """
        if self.cause is None or type(self.cause) is NotFound:
            self.cause = error

    def check_open(self) -> None:
        """Raise why nothing more is pushed to the repository, if it is closed."""
        if self.ledger is not None:
            place = f"{self.store.name}/{self.repository}"
            self.ledger.closed.check(place, self.repository)

    def holds(self, digest: Digest) -> bool:
        """Return whether the ledger knows the blob to be in the repository."""
        known = self.ledger.size(self.repository, digest) if self.ledger is not None else None
        return known is not None and self.expected.get(digest, known) == known

    async def expected_size(self, digest: Digest) -> int | None:
        """Return the size in bytes that a blob here must have; None if unknown."""
        if digest in self.expected or self.origin_size is None:
            return self.expected.get(digest)
        return await self.origin_size(digest)

    def ending(self, digest: Digest) -> asyncio.Lock:
        """Return the lock for the end of an upload of this blob: some registries fail on two."""
        return self._endings.setdefault(digest, asyncio.Lock())

    async def arrived(self, digest: Digest, size: int) -> None:
        """Note that a blob of `size` bytes is in the repository: waiting callers continue.

        Raise DigestMismatch where the registry keeps another one that was there before.
        """
        if digest in self.awaited:
            await check_kept(self.store, self.awaited[digest].flight, size)
        self.sizes[digest] = size
        claim = self.awaited.pop(digest, None)
        if self.ledger is not None:
            self.ledger.note(self.repository, digest, size)
            if claim is not None:
                self.ledger.land(claim.flight, size)
        if claim is not None:
            await claim.give_up()

    async def publish(self, reference: str | Digest, raw: RawManifest) -> None:
        """Store a manifest that a tool pushed; raise what prevented it, or one before it."""
        if raw.digest not in self.behind:
            await asyncio.gather(*self._storing.values())
            await self._stored(reference, raw)
        elif raw.digest not in self._storing:
            task = asyncio.ensure_future(self._stored(reference, raw))
            self._storing[raw.digest] = task
            self.answering.add(task)
            task.add_done_callback(self._has_stored)

    async def settle(self) -> None:
        """Wait for what is still stored after the tool has ended; a failure is the cause."""
        await asyncio.gather(*self._storing.values(), return_exceptions=True)

    async def _stored(self, reference: str | Digest, raw: RawManifest) -> None:
        if raw.digest not in self.withheld:
            self.check_open()
            if self.ledger is None:
                await self.store.put_manifest(self.repository, reference, raw)
            else:
                await TrackedStore(self.store, self.ledger).put_manifest(
                    self.repository, reference, raw
                )
            self.traffic.wrote(len(raw.content))
        self.pushed.append(raw)

    def _has_stored(self, task: asyncio.Task[None]) -> None:
        self.answering.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ImageToolsError):
            # The tool may end before it pushes what waits for this.
            self.blame(error)
        elif error is not None:
            logger.opt(exception=error).error("the exchange failed to store a manifest")
            self.blame(UnknownFailure(f"the exchange failed: {error!r}", exhausted=True))

    async def close(self) -> None:
        """Cancel open answers, release awaited blobs, and abort open uploads."""
        for task in self.answering:
            task.cancel()
        try:
            await asyncio.gather(*self.answering, return_exceptions=True)
        finally:
            awaited, uploads = tuple(self.awaited.values()), tuple(self.uploads.values())
            self.awaited.clear()
            self.uploads.clear()
            for claim in awaited:
                if self.ledger is not None:
                    self.ledger.crash(claim.flight)
            await asyncio.gather(*(begun.give_up() for begun in (*awaited, *uploads)))
