"""Copy platforms by skopeo: their blobs are placed first, then skopeo writes the manifests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from image_tools.errors import ImageToolsError, ManifestUnsupported, UnknownFailure
from image_tools.exchange.presence import size_of
from image_tools.exchange.sessions import ManifestCheck, ToolSession
from image_tools.machine.concurrency import together
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.platform import Platform
from image_tools.plan.copy_all import CopyAll
from image_tools.plan.inputs import ChildManifest
from image_tools.retry import repeat_async
from image_tools.run.job import Job
from image_tools.run.options import Options
from image_tools.run.reader import Reader, Repository
from image_tools.run.scheduler import Scheduler
from image_tools.run.tools.direct import DirectWay
from image_tools.run.tools.own_client import ForeignLayers, OwnClient, placement, warn_of_retry
from image_tools.run.tools.toolbox import Toolbox, cause_of
from image_tools.tools.skopeo import CopyRequest, cannot_keep, copy_argv
from image_tools.tools.unreadable import OLDEST_SKOPEO, cannot_parse, skopeo_cannot_parse

_Run = Callable[[], Awaitable[frozenset[Digest]]]


@dataclass(slots=True, eq=False)
class Copier:
    """Runs `skopeo copy` for one platform, or for several of one image.

    `scheduler` says how many run at once.
    """

    toolbox: Toolbox
    options: Options
    reader: Reader
    scheduler: Scheduler
    direct: DirectWay
    own: OwnClient = field(init=False)
    foreign: ForeignLayers = field(init=False)

    def __post_init__(self) -> None:
        self.own = OwnClient(self.options.retry)
        self.foreign = ForeignLayers(self.options.retry)

    async def copy(
        self, job: Job, child: ChildManifest, ending: str, *, is_referrer: bool = False
    ) -> None:
        """Bring `child` into the destination repository, as `ending`: `@digest` or `:tag`.

        A referrer never goes past the exchange: no signature policy is meant for signatures.
        Our own client writes what skopeo cannot parse, unless skopeo has to verify it. In both
        cases foreign layers that the source holds are copied.
        """
        await self.foreign.bring(job, (child,))
        if not is_referrer and self.direct.applies_to(job.entry.source):
            await self._directly(job, child, ending)
            return
        reason = await self._refusal(child) or await self._tried(job, child, ending)
        if reason is not None:
            await self.place(job, (child,))
            await self.own.write(job, child.raw, ending, f"skopeo cannot parse {reason}")

    async def readable(self, children: tuple[ChildManifest, ...]) -> tuple[ChildManifest, ...]:
        """Return those of `children` that this skopeo is not known to refuse."""
        reasons = [await self._refusal(child) for child in children]
        return tuple(
            child for child, reason in zip(children, reasons, strict=True) if reason is None
        )

    def takes_several(self, job: Job) -> bool:
        """Return whether one run may copy several platforms: layers that flow through skopeo queue
        up.
        """
        return self.options.ahead and not self.direct.applies_to(job.entry.source)

    async def place(self, job: Job, children: tuple[ChildManifest, ...]) -> None:
        """Place the blobs of `children`."""
        await repeat_async(
            self.options.retry, lambda: self._place(job, children), on_retry=warn_of_retry
        )

    async def copy_several(self, job: Job, bundle: CopyAll, tag: str) -> None:
        """Bring the children of `bundle` by digest, and its index last where that is the image.

        Raise UnknownFailure when this skopeo cannot keep the bytes of the index (`cannot_keep`),
        ManifestUnsupported when it cannot parse a manifest.
        """
        await self.foreign.bring(job, bundle.children)
        await self._repeated(
            job, bundle.children, lambda: self._run_several(job, bundle, tag), ahead=True
        )

    async def convert(self, job: Job, tag: str | None) -> RawManifest:
        """Return the schema 2 manifest of a schema 1 source, pushed under `tag`, else by digest."""
        return await repeat_async(
            self.options.retry, lambda: self._convert(job, tag), on_retry=warn_of_retry
        )

    async def _refusal(self, child: ChildManifest) -> str | None:
        media_type, manifest = child.raw.media_type, child.manifest
        if skopeo_cannot_parse(media_type, manifest, OLDEST_SKOPEO) is None:
            # Nearly always: blobs are not kept waiting until skopeo has told its version.
            return None
        tools = await self.toolbox.tools()
        return skopeo_cannot_parse(media_type, manifest, tools.skopeo)

    async def _tried(self, job: Job, child: ChildManifest, ending: str) -> str | None:
        """Return None once skopeo has copied `child`, else what it says it cannot parse."""
        try:
            await self._by_skopeo(job, child, ending, direct=False)
        except ManifestUnsupported as error:
            return f"this manifest ({cannot_parse(error.message) or 'unsupported'})"
        return None

    async def _directly(self, job: Job, child: ChildManifest, ending: str) -> None:
        try:
            await self._by_skopeo(job, child, ending, direct=True)
        except ManifestUnsupported as error:
            error.advice = self.direct.advice(job.entry.source)
            raise

    async def _by_skopeo(
        self, job: Job, child: ChildManifest, ending: str, *, direct: bool
    ) -> None:
        ahead = self.options.ahead and not direct
        await self._repeated(
            job, (child,), lambda: self._run(job, child, ending, direct), ahead=ahead
        )

    async def _repeated(
        self, job: Job, children: tuple[ChildManifest, ...], run: _Run, *, ahead: bool
    ) -> None:
        await repeat_async(
            self.options.retry,
            lambda: self._attempt(job, children, run, ahead),
            on_retry=warn_of_retry,
        )

    async def _attempt(
        self, job: Job, children: tuple[ChildManifest, ...], run: _Run, ahead: bool
    ) -> None:
        try:
            if ahead:
                await self._place(job, children)
            pushed = await run()
        except ImageToolsError as error:
            understood = cannot_keep(str(error)) or isinstance(error, ManifestUnsupported)
            for blob in () if understood else _blobs(children):
                # The ledger may be wrong about this blob: the next attempt asks the registry again.
                job.end.ledger.forget(job.destination.name, blob.digest)
            raise
        if any(child.digest not in pushed for child in children):
            raise UnknownFailure(f"{job.entry.source}: skopeo ended well without a manifest")

    async def _place(self, job: Job, children: tuple[ChildManifest, ...]) -> None:
        found = {blob.digest: (child, blob) for child in children for blob in child.manifest.blobs}
        await together(self._place_one(job, child, blob) for child, blob in found.values())

    async def _place_one(self, job: Job, child: ChildManifest, blob: Descriptor) -> None:
        content = None
        config = child.manifest.config
        if config is not None and blob.digest == config.digest:
            content = await self.reader.config(await _holder(job, blob), blob)
        await job.end.placer.place(placement(job, blob, content))

    async def _run(
        self, job: Job, child: ChildManifest, ending: str, direct: bool
    ) -> frozenset[Digest]:
        platform = child.descriptor.platform
        if not platform.is_known:
            platform = Platform()
        memory = self._memory((child,))
        written = {"expected": memory["sizes"]}
        sessions = _Sessions((f"@{child.digest}", memory), (ending, written), direct)
        pushed = await self._skopeo(job, sessions, platform=platform)
        return frozenset(raw.digest for raw in pushed)

    async def _run_several(self, job: Job, bundle: CopyAll, tag: str) -> frozenset[Digest]:
        index, memory = bundle.index, self._memory(bundle.children)
        memory["manifests"][index.digest] = index
        written = {
            "check": _one_of(bundle.digests),
            "hides_tags": True,
            "expected": memory["sizes"],
            "behind": frozenset(child.digest for child in bundle.children),
            "withheld": frozenset[Digest]() if bundle.is_image else frozenset({index.digest}),
        }
        ending = f":{tag}" if bundle.is_image else f"@{index.digest}"
        sessions = _Sessions((f"@{index.digest}", memory), (ending, written), direct=False)
        pushed = await self._skopeo(job, sessions, whole_index=True)
        return frozenset(raw.digest for raw in pushed)

    def _memory(self, children: tuple[ChildManifest, ...]) -> dict[str, Any]:
        """Return what skopeo asks the source about `children`, as far as the run has read it."""
        named = (child.manifest.config for child in children)
        configs = (self.reader.known(config.digest) for config in named if config is not None)
        return {
            "manifests": {child.digest: child.raw for child in children},
            "blobs": {raw.digest: raw.content for raw in configs if raw is not None},
            "sizes": {blob.digest: blob.size for blob in _blobs(children)},
        }

    async def _convert(self, job: Job, tag: str | None) -> RawManifest:
        target = job.entry.source.target
        source = f"@{target}" if isinstance(target, Digest) else f":{target}"
        # The digest is not known before: skopeo pushes by tag, the exchange stores by digest.
        fields = {
            "tags_become_digests": tag is None,
            # Such a manifest states no sizes.
            "origin_size": partial(size_of, job.source.store, job.source.name),
        }
        written = (f":{tag or job.tag}", fields)
        sessions = _Sessions((source, {}), written, self.direct.applies_to(job.entry.source))
        pushed = await self._skopeo(job, sessions, convert=True)
        if not pushed:
            raise UnknownFailure(f"{job.entry.source}: skopeo ended well without a manifest")
        return pushed[-1]

    async def _skopeo(self, job: Job, wanted: _Sessions, **more: Any) -> list[RawManifest]:
        tools = await self.toolbox.tools()
        exchange = self.toolbox.exchange
        async with self.scheduler.tool(job.entry.number, job.lane):
            source = exchange.open_source(
                job.source.store, job.source.name, job.traffic, **wanted.source[1]
            )
            destination = exchange.open_destination(
                job.end.tracked, job.destination.name, job.traffic, **wanted.destination[1]
            )
            try:
                request = CopyRequest(
                    setting=tools.setting,
                    source=exchange.reference(source, wanted.source[0]),
                    destination=exchange.reference(destination, wanted.destination[0]),
                    **more,
                )
                if wanted.direct:
                    request = await self.direct.request(job.entry.source, request, wanted.source[0])
                completed = await self.toolbox.run(copy_argv(request), direct=wanted.direct)
                await destination.settle()
            finally:
                await _close(self.toolbox, source, destination)
        if (cause := cause_of(completed, job.entry.source, source, destination)) is not None:
            raise cause
        return destination.pushed


async def _holder(job: Job, config: Descriptor) -> Repository:
    """Return where to read a config: an archive that has it already costs no request."""
    there = job.destination
    archive = there.store.abilities.archive
    return there if archive is not None and await archive.holds(config.digest) else job.source


@dataclass(frozen=True, slots=True)
class _Sessions:
    """The ending and the fields of the source's and of the destination's session.

    `direct` leaves the source's out: skopeo reads it by itself.
    """

    source: tuple[str, Mapping[str, Any]]
    destination: tuple[str, Mapping[str, Any]]
    direct: bool


def _blobs(children: Iterable[ChildManifest]) -> Iterator[Descriptor]:
    return (blob for child in children for blob in child.manifest.blobs)


def _one_of(digests: frozenset[Digest]) -> ManifestCheck:
    def check(pushed: RawManifest) -> str | None:
        return None if pushed.digest in digests else "the tool changed the bytes of a manifest"

    return check


async def _close(toolbox: Toolbox, *sessions: ToolSession) -> None:
    for session in sessions:
        await toolbox.exchange.close(session)
