"""Placing a blob: it is copied into a destination repository once, before a tool needs it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass

from loguru import logger

from image_tools.errors import CopyFailed, ImageToolsError, RateLimited
from image_tools.exchange.ledger import Flight, Ledger, Step, Traffic
from image_tools.exchange.presence import Presence, check_kept, find_blob
from image_tools.oci.descriptor import Descriptor
from image_tools.retry import LONGEST_WISH, RetryPolicy, repeat_async
from image_tools.stores.store import Store, Upload

# A single PUT, PATCH and PUT, and either of them where an upload is redirected.
MOST_WAYS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds without progress after which a flight is not waited for any longer.

    `elsewhere`: of a flight into another repository; `own`: of one into the wanted repository.
    """

    elsewhere: float = 30.0
    own: float = 2 * LONGEST_WISH


PATIENCE = Patience()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A request to place `blob`, which is in `origin_repository` of `origin`, in `repository`.

    `content` is the blob itself if it was read before. `changes_tag`: the image is to replace
    another one under its tag.
    """

    blob: Descriptor
    origin: Store
    origin_repository: str
    repository: str
    traffic: Traffic
    content: bytes | None = None
    changes_tag: bool = False


class Placer:
    """Copies blobs into one destination store, each over the network once.

    `lanes` bounds how many blobs of one source are copied at once: a source that hangs or limits us
    must not delay blobs of others.
    """

    def __init__(
        self,
        destination: Store,
        ledger: Ledger,
        policy: RetryPolicy,
        lanes: int,
        patience: Patience = PATIENCE,
    ) -> None:
        self.destination = destination
        self.ledger = ledger
        self._policy, self._patience = policy, patience
        self._presence = Presence(destination)
        self._lanes = defaultdict[Store, asyncio.Semaphore](lambda: asyncio.Semaphore(lanes))

    async def place(self, wish: Placement) -> None:
        """Return when the blob is in the repository; raise what prevented that."""
        patient = True
        while (flight := await self._step(wish, patient)) is not None:
            if flight.repository == wish.repository:
                await landing(self.ledger, flight, self._patience.own)
            else:
                # A source that hangs must not delay callers with another source of the blob.
                patient = await landed(flight, self._patience.elsewhere)

    async def _step(self, wish: Placement, patient: bool) -> Flight | None:
        """Return None once the blob is there, else another caller's flight to wait for.

        The lane comes first: an open flight that waits for a lane would look stuck to all who wait
        for it, and they would send the blob a second time.
        """
        if self.ledger.size(wish.repository, wish.blob.digest) == wish.blob.size:
            return None
        async with self._lanes[wish.origin]:
            answer = self.ledger.ask(
                wish.repository, wish.blob.digest, wish.blob.size, patient=patient
            )
            if answer.step is Step.WAIT:
                return answer.flight
            if answer.flight is not None:
                await self._fly(wish, answer.flight)
            return None

    async def _fly(self, wish: Placement, flight: Flight) -> None:
        try:
            looked_and_sent = await repeat_async(self._policy, lambda: self._attempt(wish, flight))
        except BaseException as error:
            if isinstance(error, CopyFailed):
                self.ledger.closed.note(wish.repository, error)
            self.ledger.crash(flight)
            raise
        self.ledger.land(flight, wish.blob.size)
        if looked_and_sent and self.ledger.mounts_work:
            await self._presence.learn(flight)

    async def _attempt(self, wish: Placement, flight: Flight) -> bool:
        """Return whether the blob was looked for, was missing, and was sent."""
        place = f"{self.destination.name}/{wish.repository}"
        self.ledger.closed.check(place, wish.repository, changes_tag=wish.changes_tag)
        flight.moved += 1  # The attempt before may have waited for minutes.
        looks, size = flight.origin is None, wish.blob.size
        for _ in range(MOST_WAYS - 1):
            try:
                return await self._by_one_way(wish, flight, looks, size)
            except ImageToolsError as error:
                if not error.another_way:
                    raise
                logger.debug("{}; sending it another way", error)
        return await self._by_one_way(wish, flight, looks, size)

    async def _by_one_way(self, wish: Placement, flight: Flight, looks: bool, size: int) -> bool:
        upload = await (
            self._presence.begin(flight, size) if looks else self._mounted(flight, size)
        )
        if upload is None:
            return False
        await self._send(wish, flight, upload)
        await check_kept(self.destination, flight, size)
        return looks

    async def _mounted(self, flight: Flight, size: int) -> Upload | None:
        """Return None when the blob was mounted, else the upload to send it with."""
        upload = await mount(self.destination, self.ledger, flight, size)
        if upload is None and flight.origin is None:
            return await self.destination.upload(flight.repository)
        return upload

    async def _send(self, wish: Placement, flight: Flight, upload: Upload) -> None:
        blob, traffic = wish.blob, wish.traffic
        try:
            if wish.content is not None:
                chunks = traffic.writing(_one(wish.content))
                return await upload.put(blob.digest, blob.size, chunks)
            async with wish.origin.blob(wish.origin_repository, blob.digest) as body:
                chunks = traffic.writing(_noting(flight, traffic.reading(body)))
                await upload.put(blob.digest, blob.size, chunks)
        except BaseException:
            await upload.abort()
            raise


async def mount(store: Store, ledger: Ledger, flight: Flight, size: int | None) -> Upload | None:
    """Try the mount of `flight`; its `origin` is None afterwards if the store refused it.

    Returns the upload a registry begins instead (202, distribution spec "Mounting a blob"). A mount
    that fails is no failure of the blob: the blob is sent. So is a blob that turns out not to have
    `size` bytes, where its size was known from manifests only.
    """
    assert flight.origin is not None
    try:
        upload = await store.mount(flight.repository, flight.digest, flight.origin)
    except RateLimited:
        raise
    except ImageToolsError as error:
        logger.debug("{}; the blob is sent", error)
        ledger.refuse_mount(flight)
        return None
    if upload is not None:
        ledger.refuse_mount(flight)
    elif ledger.is_supposed(flight.digest):
        found = await find_blob(store, flight.repository, flight.digest, size)
        if found.size is None:
            ledger.forget(flight.origin, flight.digest)
            flight.origin, flight.short = None, found.is_other
    return upload


async def landing(ledger: Ledger, flight: Flight, silence: float = PATIENCE.own) -> None:
    """Wait until `flight` has ended; end it after `silence` seconds without progress."""
    if not await landed(flight, silence):
        ledger.crash(flight)


async def landed(flight: Flight, silence: float) -> bool:
    """Return whether `flight` has ended; False after `silence` seconds without progress."""
    while not flight.landed.is_set():
        moved = flight.moved
        landing = asyncio.ensure_future(flight.landed.wait())
        try:
            # Not wait_for: before Python 3.12 it loses a cancellation that comes with the landing.
            await asyncio.wait([landing], timeout=silence)
        finally:
            landing.cancel()
        if flight.moved == moved and not flight.landed.is_set():
            return False
    return True


async def _noting(flight: Flight, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        flight.moved += len(chunk)
        yield chunk


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content
