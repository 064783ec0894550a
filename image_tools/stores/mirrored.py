"""A source behind mirrors, in the order of registries.conf."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NoReturn, TypeVar

from loguru import logger

from image_tools.errors import (
    CopyFailed,
    ImageToolsError,
    IntegrityError,
    NotFound,
    TimedOut,
    TlsProblem,
    Unavailable,
)
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.stores.remote.registries_conf import Pull, PullSource, RegistriesConf
from image_tools.stores.store import Abilities, ManifestHead, Store, Upload
from image_tools.web.address import named

LEFT_ALONE_FOR = 60.0
T = TypeVar("T")
Open = Callable[[str, bool], Store]


class Mirrored:
    """`registry` as a Store for reading: each place in `conf` is asked in turn.

    The first place with the content answers; without one, the answer of the last counts, which is
    the registry itself. `open_store(registry, insecure)` opens the stores; the caller closes them.
    A mirror that cannot be reached is skipped for a minute; one for which `leaves_out` is true is
    not asked.
    """

    def __init__(
        self,
        registry: str,
        conf: RegistriesConf,
        open_store: Open,
        leaves_out: Callable[[PullSource], bool] = lambda _: False,
    ) -> None:
        self._registry, self._conf, self._open = registry, conf, open_store
        self._leaves_out = leaves_out
        self._left_alone: dict[str, float] = {}

    @property
    def name(self) -> str:
        """Return the registry as people write it."""
        return self._registry

    @property
    def abilities(self) -> Abilities:
        """Return that the mirror which has an image can be found."""
        return Abilities(mirrors=self)

    async def manifest_head(self, repository: str, reference: str | Digest) -> ManifestHead | None:
        """Return the head from the first place that has the manifest; None if the last has not."""

        async def look(store: Store, place: PullSource) -> ManifestHead:
            found = await store.manifest_head(place.repository, reference)
            return found or _absent(self._registry, repository, reference)

        try:
            return await self._first(repository, reference, look)
        except NotFound:
            return None

    async def manifest(self, repository: str, reference: str | Digest) -> RawManifest:
        """Return the manifest from the first place that has it.

        Raise NotFound if the last has not.
        """
        return await self._first(
            repository,
            reference,
            lambda store, place: store.manifest(place.repository, reference),
        )

    async def blob_size(self, repository: str, digest: Digest) -> int | None:
        """Return the size from the first place that has the blob; None if the last has not."""

        async def look(store: Store, place: PullSource) -> int:
            found = await store.blob_size(place.repository, digest)
            return _absent(self._registry, repository, digest) if found is None else found

        try:
            return await self._first(repository, digest, look)
        except NotFound:
            return None

    @asynccontextmanager
    async def blob(
        self, repository: str, digest: Digest, *, first: int = 0, last: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open the blob at the first place that has it; see Store."""
        async with AsyncExitStack() as stack:

            async def enter(store: Store, place: PullSource) -> AsyncIterator[bytes]:
                body = store.blob(place.repository, digest, first=first, last=last)
                return await stack.enter_async_context(body)

            yield await self._first(repository, digest, enter)

    async def tags(self, repository: str) -> tuple[str, ...]:
        """Return the tags at the registry itself: a mirror may have only some of them."""
        place = self._conf.sources(self._registry, repository)[-1]
        try:
            return await self._store(place).tags(place.repository)
        except ImageToolsError as error:
            raise self._restated(error, place, repository) from error

    async def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        """Return the referrers at the registry itself: a mirror may have only some of them."""
        place = self._conf.sources(self._registry, repository)[-1]
        try:
            return await self._store(place).referrers(place.repository, digest)
        except ImageToolsError as error:
            raise self._restated(error, place, repository) from error

    async def holder(self, repository: str, digest: Digest) -> tuple[Store, str]:
        """Return the store of the first place that has the manifest `digest`, and its repository.

        Raise NotFound when the last has not.
        """

        async def look(store: Store, place: PullSource) -> tuple[Store, str]:
            if await store.manifest_head(place.repository, digest) is None:
                _absent(self._registry, repository, digest)
            return store, place.repository

        return await self._first(repository, digest, look)

    async def put_manifest(
        self, repository: str, reference: str | Digest, manifest: RawManifest
    ) -> None:
        """Raise NotImplementedError: mirrors are read-only."""
        raise NotImplementedError

    async def mount(self, repository: str, digest: Digest, origin: str) -> Upload | None:
        """Raise NotImplementedError: mirrors are read-only."""
        raise NotImplementedError

    async def upload(self, repository: str) -> Upload:
        """Raise NotImplementedError: mirrors are read-only."""
        raise NotImplementedError

    async def close(self) -> None:
        """Do nothing: the caller closes the stores."""

    async def _first(
        self,
        repository: str,
        reference: str | Digest,
        ask: Callable[[Store, PullSource], Awaitable[T]],
    ) -> T:
        *mirrors, last = self._conf.sources(self._registry, repository)
        for place in mirrors:
            if not self._is_asked(place, reference):
                continue
            try:
                return await ask(self._store(place), place)
            except (CopyFailed, IntegrityError) as error:
                logger.debug("{}; asking the next place", error)
                self._note(place, error)
        try:
            return await ask(self._store(last), last)
        except ImageToolsError as error:
            raise self._restated(error, last, repository) from error

    def _store(self, place: PullSource) -> Store:
        return self._open(place.registry, place.insecure)

    def _is_asked(self, place: PullSource, reference: str | Digest) -> bool:
        unwanted = Pull.TAG_ONLY if isinstance(reference, Digest) else Pull.DIGEST_ONLY
        if place.pull is unwanted or self._leaves_out(place):
            return False
        return self._left_alone.get(place.registry, 0) < _now()

    def _note(self, place: PullSource, error: ImageToolsError) -> None:
        silent = isinstance(error, (TlsProblem, TimedOut, Unavailable)) and error.status is None
        if silent:
            logger.info("{}; not asked again for a minute", error)
            self._left_alone[place.registry] = _now() + LEFT_ALONE_FOR

    def _restated(
        self, error: ImageToolsError, place: PullSource, repository: str
    ) -> ImageToolsError:
        """Return the failure with the name that the user knows in front."""
        asked, meant = named(place.registry, place.repository), named(self._registry, repository)
        if asked == meant or not error.message.startswith(asked):
            return error
        return error.copied(f"{meant}{error.message.removeprefix(asked)} (asked at {asked})")


def _absent(registry: str, repository: str, reference: str | Digest) -> NoReturn:
    raise NotFound(f"{named(registry, repository, reference)}: not found (404)")


def _now() -> float:
    return time.monotonic()
