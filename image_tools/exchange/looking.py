"""Whether a repository has a blob, and the upload that is begun when it has not."""

from __future__ import annotations

from dataclasses import dataclass

from loguru import logger

from image_tools.errors import CopyFailed, ImageToolsError
from image_tools.exchange.ledger import Flight
from image_tools.stores.store import Store, Upload

SENT_UNTIL_TRIAL = 8


@dataclass(slots=True, eq=False)
class Look:
    """Looks into the repositories of one destination, with as few requests as it allows.

    A store that mounts a blob out of the repository it is to lie in says with one request that it
    has the blob, or begins the upload (distribution spec, "Mounting a blob from another
    repository"). Not all do; it is tried once, with a blob that has just been sent.
    """

    store: Store
    _sent: int = 0
    _mounts: bool = False

    async def begin(self, flight: Flight) -> Upload | None:
        """None when the repository has the blob of `flight`, else the upload to send it by."""
        if self._mounts and not flight.doubted:
            try:
                return await self.store.mount(flight.repository, flight.digest, flight.repository)
            except CopyFailed as error:
                if error.temporary:
                    raise
                logger.debug("the destination does not mount any more: {}", error)
                self._mounts = False
        if await self.store.blob_size(flight.repository, flight.digest) is not None:
            return None
        return await self.store.upload(flight.repository)

    async def sent(self, flight: Flight) -> None:
        """Note that the blob of `flight` was sent."""
        self._sent += 1
        if self._sent == SENT_UNTIL_TRIAL:
            self._mounts = await self._is_found(flight)

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
