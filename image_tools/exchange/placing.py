"""Placing: a blob is brought into a destination repository once, before a tool needs it there."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass

from loguru import logger

from image_tools.errors import CopyFailed, ImageToolsError, RateLimited
from image_tools.exchange.ledger import Flight, Ledger, Step, Traffic
from image_tools.exchange.presence import Presence, check_kept, looked_for
from image_tools.oci.descriptor import Descriptor
from image_tools.retry import LONGEST_WISH, RetryPolicy, repeat_async
from image_tools.stores.store import Store, Upload

PATIENCE = 30.0
# One PUT, PATCH and PUT, and either of them where an upload is redirected.
MOST_WAYS = 4
SILENCE = 2 * LONGEST_WISH


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One wish: `blob`, which lies in `origin`'s repository, in a destination repository.

    `content` is the blob itself where it was read before. `changes_tag`: the image is to take the
    place of another.
    """

    blob: Descriptor
    origin: Store
    origin_repository: str
    repository: str
    traffic: Traffic
    content: bytes | None = None
    changes_tag: bool = False


class Placer:
    """Brings blobs into one destination store, each over the line once.

    `lanes` bounds how many blobs of one source are on their way at once: one that is silent, or
    limits us, must not keep the blobs of others waiting.
    """

    def __init__(self, destination: Store, ledger: Ledger, policy: RetryPolicy, lanes: int) -> None:
        self.destination = destination
        self.ledger = ledger
        self._policy = policy
        self._presence = Presence(destination)
        self._lanes = defaultdict[Store, asyncio.Semaphore](lambda: asyncio.Semaphore(lanes))

    async def place(self, wish: Placement) -> None:
        """Return when the blob is in the repository; raises what kept it from getting there."""
        patient = True
        while (flight := await self._step(wish, patient)) is not None:
            if flight.repository == wish.repository:
                await landing(self.ledger, flight)
            else:
                # A silent source must not hold up whoever can have the same blob from another.
                patient = await landed(flight, PATIENCE)

    async def _step(self, wish: Placement, patient: bool) -> Flight | None:
        """None once the blob is there, else the flight of somebody else to wait for.

        The lane comes first: a flight that is open but waits for a lane would look silent to all
        who wait for it, and they would send the blob a second time.
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
        """Whether the blob was looked for, was not there, and was sent."""
        place = f"{self.destination.name}/{wish.repository}"
        self.ledger.closed.check(place, wish.repository, changes_tag=wish.changes_tag)
        flight.moved += 1  # The attempt before may have been told to wait for minutes.
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
        """None when the blob was mounted, else the upload to send it by."""
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
    """Try `flight`'s mount; its `origin` is None afterwards when the store did not want to.

    The upload a registry begins instead (202, distribution spec "Mounting a blob") is returned.
    A mount that fails is no failure of the blob: it is sent then. So is a blob that turns out not
    to have `size` bytes, where nobody had looked at it before.
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
        found = await looked_for(store, flight.repository, flight.digest, size)
        if found.size is None:
            ledger.forget(flight.origin, flight.digest)
            flight.origin, flight.short = None, found.is_other
    return upload


async def landing(ledger: Ledger, flight: Flight) -> None:
    """Wait until `flight` has ended; SILENCE seconds without a sign of life count as its end."""
    if not await landed(flight, SILENCE):
        ledger.crash(flight)


async def landed(flight: Flight, silence: float) -> bool:
    """Wait until `flight` has ended; False when it gave no sign of life for `silence` seconds."""
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
