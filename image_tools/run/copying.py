"""Copying one platform: its blobs are placed, then skopeo copies and writes the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loguru import logger

from image_tools.errors import ImageToolsError, UnknownFailure
from image_tools.exchange.placing import Placement
from image_tools.exchange.sessions import Session
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.platform import Platform
from image_tools.plan.images import Child
from image_tools.retry import repeat_async
from image_tools.run.direct import DirectWay
from image_tools.run.executor import Slots
from image_tools.run.failure import cause_of
from image_tools.run.job import Job
from image_tools.run.options import Options
from image_tools.run.reading import Reader, Repository
from image_tools.run.together import together
from image_tools.run.toolbox import Toolbox
from image_tools.stores.archive.store import ArchiveStore
from image_tools.tools.skopeo import CopyRequest, copy_argv


@dataclass(slots=True, eq=False)
class Copier:
    """Runs `skopeo copy` for one platform after the other, `slots` at once."""

    toolbox: Toolbox
    options: Options
    reader: Reader
    slots: Slots
    direct: DirectWay

    async def copy(self, job: Job, child: Child, ending: str, *, companion: bool = False) -> None:
        """Bring `child` into the destination repository, as `ending`: `@digest` or `:tag`.

        A `companion` never goes past the exchange: no signature policy is meant for signatures.
        """
        direct = not companion and self.direct.applies_to(job.entry.source)
        await repeat_async(
            self.options.retry,
            lambda: self._attempt(job, child, ending, direct),
            on_retry=_warn,
        )

    async def convert(self, job: Job, tag: str | None) -> RawManifest:
        """The schema 2 manifest a schema 1 source becomes, pushed under `tag`, else by digest."""
        return await repeat_async(
            self.options.retry, lambda: self._convert(job, tag), on_retry=_warn
        )

    async def _attempt(self, job: Job, child: Child, ending: str, direct: bool) -> None:
        try:
            if self.options.ahead and not direct:
                await self._place(job, child)
            pushed = await self._run(job, child, ending, direct)
        except ImageToolsError:
            for blob in child.manifest.blobs:
                # What the book says may be the reason: the next attempt looks again.
                job.end.book.ledger.forget(job.destination.name, blob.digest)
            raise
        if child.digest not in pushed:
            raise UnknownFailure(f"{job.entry.source}: skopeo ended well without a manifest")

    async def _place(self, job: Job, child: Child) -> None:
        await together(self._place_one(job, child, blob) for blob in child.manifest.blobs)

    async def _place_one(self, job: Job, child: Child, blob: Descriptor) -> None:
        content = None
        if blob.digest == child.manifest.config.digest:
            content = await self.reader.config(await _holder(job, blob), blob)
        await job.end.placer.place(
            Placement(
                blob=blob,
                origin=job.source.store,
                origin_repository=job.source.name,
                repository=job.destination.name,
                account=job.account,
                content=content,
            )
        )

    async def _run(self, job: Job, child: Child, ending: str, direct: bool) -> frozenset[Digest]:
        config = child.manifest.config.digest
        content = self.reader.known(config)
        memory = {
            "manifests": {child.digest: child.raw},
            "blobs": {} if content is None else {config: content.content},
            "sizes": {blob.digest: blob.size for blob in child.manifest.blobs},
        }
        platform = child.descriptor.platform
        if not platform.is_known:
            platform = Platform()
        sessions = _Sessions((f"@{child.digest}", memory), (ending, {}), direct)
        pushed = await self._skopeo(job, sessions, platform)
        return frozenset(raw.digest for raw in pushed)

    async def _convert(self, job: Job, tag: str | None) -> RawManifest:
        target = job.entry.source.target
        source = f"@{target}" if isinstance(target, Digest) else f":{target}"
        # The digest is not known before: skopeo pushes by tag, the exchange stores by digest.
        written = (f":{tag or job.tag}", {"tags_become_digests": tag is None})
        sessions = _Sessions((source, {}), written, self.direct.applies_to(job.entry.source))
        pushed = await self._skopeo(job, sessions, Platform(), convert=True)
        if not pushed:
            raise UnknownFailure(f"{job.entry.source}: skopeo ended well without a manifest")
        return pushed[-1]

    async def _skopeo(
        self, job: Job, wanted: _Sessions, platform: Platform, *, convert: bool = False
    ) -> list[RawManifest]:
        tools = await self.toolbox.tools()
        exchange = self.toolbox.exchange
        async with self.slots.slot(job.entry.number, job.lane):
            source = exchange.open_source(
                job.source.store, job.source.name, job.account, **wanted.source[1]
            )
            destination = exchange.open_destination(
                job.end.book, job.destination.name, job.account, **wanted.destination[1]
            )
            try:
                request = CopyRequest(
                    setting=tools.setting,
                    source=exchange.reference(source, wanted.source[0]),
                    destination=exchange.reference(destination, wanted.destination[0]),
                    platform=platform,
                    convert=convert,
                )
                if wanted.direct:
                    request = await self.direct.request(job.entry.source, request, wanted.source[0])
                completed = await self.toolbox.run(copy_argv(request), direct=wanted.direct)
            finally:
                await _close(self.toolbox, source, destination)
        if (cause := cause_of(completed, job.entry.source, source, destination)) is not None:
            raise cause
        return destination.pushed


async def _holder(job: Job, config: Descriptor) -> Repository:
    """Where a config is read: an archive that has it already costs no request."""
    there = job.destination
    if not isinstance(there.store, ArchiveStore):
        return job.source
    return there if await there.store.holds(config.digest) else job.source


@dataclass(frozen=True, slots=True)
class _Sessions:
    """The ending and the fields of the source's and of the destination's session.

    `direct` leaves the source's out: skopeo reads it by itself.
    """

    source: tuple[str, Mapping[str, Any]]
    destination: tuple[str, Mapping[str, Any]]
    direct: bool


async def _close(toolbox: Toolbox, *sessions: Session) -> None:
    for session in sessions:
        await toolbox.exchange.close(session)


def _warn(error: ImageToolsError, seconds: float) -> None:
    logger.warning("{}; trying again in {:.0f} s", error, seconds)
