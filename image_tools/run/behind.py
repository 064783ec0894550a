"""Look behind the destination's tag: is everything its index leads to still there?

A registry's garbage collector may take what a tagged index leads to (distribution 2.8 with `-m`).
The tag and its digest stay, so two heads do not show it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from loguru import logger

from image_tools.errors import (
    CopyFailed,
    DigestMismatch,
    ImageToolsError,
    InvalidManifest,
    NotFound,
)
from image_tools.exchange.presence import FAILS_ON_IT, is_refused_look
from image_tools.machine.concurrency import run_walk_async, together
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Manifest, RawManifest
from image_tools.oci.tree import Answer, Fault, Parsed, everything, walk
from image_tools.run.job import Job
from image_tools.run.options import Options
from image_tools.run.reader import Repository
from image_tools.run.tools.own_client import is_held

QUESTIONS = 16


def looks_behind(options: Options, job: Job) -> bool:
    """Return whether the run, or the line, asks to look behind an unchanged tag."""
    return options.look_behind or job.entry.look_behind


@dataclass(slots=True, eq=False)
class Behind:
    """Looks behind tags; a blob that several images of one repository share is asked for once.

    Belongs to the event loop.
    """

    _sound: set[tuple[str, Digest, int]] = field(default_factory=set)
    _locks: WeakValueDictionary[tuple[str, Digest, int], asyncio.Lock] = field(
        default_factory=WeakValueDictionary
    )
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(QUESTIONS))

    async def broken(self, job: Job, top: Digest) -> frozenset[Digest]:
        """Return the manifests behind `top` that are lost, or of which a blob is missing.

        `top` itself is among them when it cannot be read. Raise what kept the destination from
        being asked.
        """
        found = await self._broken(job, top)
        if found:
            which = "the index" if top in found else ", ".join(map(str, sorted(found, key=str)))
            place = job.entry.destination
            logger.warning("{}: content is missing behind the tag: {}", place, which)
        return found

    async def _broken(self, job: Job, top: Digest) -> frozenset[Digest]:
        place, images = job.destination, dict[Digest, Manifest]()

        def look(entry: Descriptor, _raw: RawManifest, parsed: Parsed) -> None:
            if isinstance(parsed, Manifest):
                images[entry.digest] = parsed

        raw = await _answer(place, top)
        if isinstance(raw, ImageToolsError):
            return frozenset({top})
        tree = await run_walk_async(
            walk(raw, digest=top, wants=everything, on_manifest=look),
            lambda entry: _answer(place, entry.digest),
        )
        lost = {entry.digest for entry in tree.entries_with(Fault.LOST)}
        whole = await together(self._is_whole(job, image) for image in images.values())
        lost |= {digest for digest, is_whole in zip(images, whole, strict=True) if not is_whole}
        return frozenset(lost)

    async def _is_whole(self, job: Job, image: Manifest) -> bool:
        needed = (self._is_there(job, blob) for blob in image.blobs)
        foreign = (self._is_brought(job, layer) for layer in image.foreign)
        return all(await together((*needed, *foreign)))

    async def _is_brought(self, job: Job, layer: Descriptor) -> bool:
        """Return whether a foreign layer is there, or is missing at the source too."""
        return await self._is_there(job, layer) or not await is_held(job, layer)

    async def _is_there(self, job: Job, blob: Descriptor) -> bool:
        place = job.destination
        key = (f"{place.store.name}/{place.name}", blob.digest, blob.size)
        # Images are looked at together: the second one waits for what the first is told.
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock, self._room:
            if key in self._sound:
                return True
            if is_sound := await _has(job, blob):
                self._sound.add(key)
            else:
                job.end.ledger.forget(place.name, blob.digest)
            return is_sound


async def _has(job: Job, blob: Descriptor) -> bool:
    place = job.destination
    try:
        return await place.store.blob_size(place.name, blob.digest) == blob.size
    except CopyFailed as error:
        if error.status == FAILS_ON_IT:
            return False
        if not is_refused_look(error):
            raise
        # Not told is not "no": it would be sent again on every run.
        _warn_of_refusal(job, error)
        return True


def _warn_of_refusal(job: Job, error: CopyFailed) -> None:
    """Warn once for an image that the registry does not say whether it has a blob."""
    logger.debug("{}; taken as being there", error)
    text = f"{job.destination.store.name} does not say which blobs it has: they are not checked"
    if text not in job.warnings:
        job.warn(text)


async def _answer(place: Repository, digest: Digest) -> Answer:
    """Return the manifest, or the error that says that the destination has lost it.

    Lost content may be removed from the tag, so a registry is asked twice.
    """
    first = await _asked(place, digest)
    return await _asked(place, digest) if isinstance(first, ImageToolsError) else first


async def _asked(place: Repository, digest: Digest) -> Answer:
    try:
        return await place.store.manifest(place.name, digest)
    except (DigestMismatch, InvalidManifest, NotFound) as error:
        return error
    except CopyFailed as error:
        if error.status != FAILS_ON_IT:
            raise
        return error
