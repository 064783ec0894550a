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
# docker-registry fails so on what it was writing when it was killed: sent anew, it is whole.
FAILS_ON_IT = 500
_REFUSED_LOOKS = frozenset({400, 401, 403, 412, 451})


@dataclass(frozen=True, slots=True)
class BlobPresence:
    """The size in bytes of a blob that is there, None where it has to be sent.

    `is_other`: something else is in its place, which may stay there whatever is sent.
    """

    size: int | None = None
    is_other: bool = False


@dataclass(slots=True, eq=False)
class Presence:
    """Looks into the repositories of one destination, with as few requests as it allows.

    A store that mounts a blob out of the repository it is to lie in says with one request that it
    has the blob, or begins the upload (distribution spec, "Mounting a blob from another
    repository"). Not all do; it is tried once, with a blob that has just been sent.
    """

    store: Store
    _sent: int = 0
    _mounts: bool = False

    async def begin(self, flight: Flight, size: int) -> Upload | None:
        """None when the repository has the blob of `flight`, `size` bytes; else the upload for it.

        One that has another size is `short`: what is sent may not take its place.
        """
        if self._mounts and not flight.doubted:
            upload = await self._by_mount(flight)
            if upload is not None:
                return upload
        found = await looked_for(self.store, flight.repository, flight.digest, size)
        flight.short = found.is_other
        return await self.store.upload(flight.repository) if found.size is None else None

    async def learn(self, flight: Flight) -> None:
        """Try with the blob of `flight`, which was sent, whether the store mounts; once."""
        self._sent += 1
        if self._sent == SENT_UNTIL_TRIAL:
            self._mounts = await self._is_found(flight)

    async def _by_mount(self, flight: Flight) -> Upload | None:
        """The upload that was begun because the blob is not there, else None."""
        try:
            return await self.store.mount(flight.repository, flight.digest, flight.repository)
        except RateLimited:
            raise
        except ImageToolsError as error:
            # If it is down altogether, the question that comes next says so.
            logger.debug("the destination does not mount any more: {}", error)
            self._mounts = False
            return None

    async def _is_found(self, flight: Flight) -> bool:
        """Whether mounting a blob where it is finds it; what goes wrong means no."""
        try:
            upload = await self.store.mount(flight.repository, flight.digest, flight.repository)
        except ImageToolsError as error:
            logger.debug("the destination does not mount a blob where it is: {}", error)
            return False
        if upload is not None:
            await upload.abort()
        return upload is None


async def looked_for(
    store: Store, repository: str, digest: Digest, size: int | None
) -> BlobPresence:
    """Return what a repository of a destination has of a blob of `size` bytes, with one request.

    It is the one rule for "is the blob there": one of another size is not, nor is one the registry
    fails on. Without `size` nobody knows what it should be, and any will do.
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
    """Nothing when the blob that was sent is whole now; DigestMismatch where it is not.

    docker-registry 2.8 keeps what lies in its storage, and a crash may have left it short: an
    image over that could never be pulled.
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
    """The size of a blob in the repository of a destination; None where it has to be sent.

    A look that is refused decides nothing: some forbid what does not exist (ggcr#1691).
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
