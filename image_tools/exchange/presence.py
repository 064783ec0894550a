"""Whether a repository has a blob, and the upload that is begun when it has not."""

from __future__ import annotations

from dataclasses import dataclass

from loguru import logger

from image_tools.errors import (
    CopyFailed,
    DigestMismatch,
    ImageToolsError,
    RateLimited,
    Unavailable,
)
from image_tools.exchange.ledger import Flight
from image_tools.oci.digest import Digest
from image_tools.stores.store import Store, Upload

SENT_UNTIL_TRIAL = 8
# docker-registry fails so on a blob it was writing when it was killed; sending it again helps.
FAILS_ON_IT = 500
_REFUSED_LOOKS = frozenset({400, 401, 403, 412, 451})


@dataclass(frozen=True, slots=True)
class BlobPresence:
    """The size in bytes of a blob that is there, None where it has to be sent.

    `is_other`: something else has its digest, and may stay there whatever is sent.
    """

    size: int | None = None
    is_other: bool = False


@dataclass(slots=True, eq=False)
class Presence:
    """Looks for blobs at one destination, with as few requests as it supports.

    A store that mounts a blob from the repository it is to be in answers one request either that it
    has the blob, or with an upload (distribution spec, "Mounting a blob from another repository").
    Not all do; it is tried once, with a blob that was just sent.
    """

    store: Store
    _sent: int = 0
    _mounts: bool = False

    async def begin(self, flight: Flight, size: int) -> Upload | None:
        """Return None when the repository has the blob of `flight`, `size` bytes, else an upload.

        A blob of another size makes the flight `short`: what is sent may not replace it.
        """
        if self._mounts and not flight.doubted:
            upload = await self._by_mount(flight)
            if upload is not None:
                return upload
        found = await find_blob(self.store, flight.repository, flight.digest, size)
        flight.short = found.is_other
        return await self.store.upload(flight.repository) if found.size is None else None

    async def learn(self, flight: Flight) -> None:
        """Find out once, with the blob of `flight` that was sent, whether the store mounts."""
        self._sent += 1
        if self._sent == SENT_UNTIL_TRIAL:
            self._mounts = await self._is_found(flight)

    async def _by_mount(self, flight: Flight) -> Upload | None:
        """Return the upload that was begun because the blob is missing, else None."""
        try:
            return await self.store.mount(flight.repository, flight.digest, flight.repository)
        except RateLimited:
            raise
        except ImageToolsError as error:
            # If the registry is down, the next request reports that.
            logger.debug("the destination does not mount any more: {}", error)
            self._mounts = False
            return None

    async def _is_found(self, flight: Flight) -> bool:
        """Return whether mounting a blob where it is finds it; a failure means no."""
        try:
            upload = await self.store.mount(flight.repository, flight.digest, flight.repository)
        except ImageToolsError as error:
            logger.debug("the destination does not mount a blob where it is: {}", error)
            return False
        if upload is not None:
            await upload.abort()
        return upload is None


async def find_blob(
    store: Store, repository: str, digest: Digest, size: int | None
) -> BlobPresence:
    """Return what a repository of a destination has of a blob of `size` bytes, with one request.

    This is the one rule for "the blob is there": a blob of another size is not, nor one the
    registry fails on. Without `size` any size will do.
    """
    try:
        found = await size_of(store, repository, digest)
    except Unavailable as error:
        if error.status != FAILS_ON_IT:
            raise
        return BlobPresence(is_other=True)
    if found is None or size in (None, found):
        return BlobPresence(found)
    logger.debug("{}/{}@{}: {} bytes of {}", store.name, repository, digest, found, size)
    return BlobPresence(is_other=True)


async def check_kept(store: Store, flight: Flight, size: int) -> None:
    """Raise DigestMismatch unless the blob that was sent is whole now.

    docker-registry 2.8 keeps the file in its storage that a crash may have cut short: an image with
    it could never be pulled.
    """
    if not flight.short:
        return
    found = await store.blob_size(flight.repository, flight.digest)
    if found != size:
        place = f"{store.name}/{flight.repository}@{flight.digest}"
        raise DigestMismatch(
            f"{place}: the registry has {found} bytes of it, not {size}, and keeps them when"
            " it is sent again",
            advice="its storage is damaged: remove that blob there and run again",
        )


async def size_of(store: Store, repository: str, digest: Digest) -> int | None:
    """Return the size of a blob in a repository of a destination; None if it has to be sent.

    A refused request decides nothing: some registries forbid what does not exist (ggcr#1691).
    """
    try:
        return await store.blob_size(repository, digest)
    except CopyFailed as error:
        if not is_refused_look(error):
            raise
        logger.debug("{}; the blob is sent", error)
        return None


def is_refused_look(error: CopyFailed) -> bool:
    """Return whether a registry refused to say if it has a blob, which decides nothing."""
    return error.answered and not error.temporary and error.status in _REFUSED_LOOKS
