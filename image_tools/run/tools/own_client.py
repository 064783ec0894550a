"""Copy with our own client what no tool can copy: unusual manifests, and foreign layers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from loguru import logger

from image_tools.errors import ImageToolsError
from image_tools.exchange.placing import Placement
from image_tools.exchange.presence import size_of
from image_tools.machine.concurrency import together
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.manifest import RawManifest
from image_tools.plan.inputs import ChildManifest
from image_tools.retry import RetryPolicy, repeat_async
from image_tools.run.job import Job

OWN_CLIENT = "own-client"


@dataclass(slots=True, eq=False)
class OwnClient:
    """Writes manifests whose blobs or children lie in the destination repository already.

    It is the last resort: a caller knows why skopeo and buildx cannot do it. A refusal by a
    registry, a wrong digest or a policy is no such reason.
    """

    retry: RetryPolicy
    _said: set[str] = field(default_factory=set)

    async def write(self, job: Job, raw: RawManifest, ending: str, reason: str) -> None:
        """Store the bytes of `raw` as `ending`, `@digest` or `:tag`; `reason` is logged once."""
        self._say(job, reason)
        job.check_open()
        reference = raw.digest if ending.startswith("@") else ending.removeprefix(":")
        await repeat_async(
            self.retry,
            lambda: job.end.tracked.put_manifest(job.destination.name, reference, raw),
            on_retry=warn_of_retry,
        )
        job.traffic.wrote(len(raw.content))
        job.by_own_client = True

    def _say(self, job: Job, reason: str) -> None:
        text = "{}: {}; image-tools writes the manifest itself"
        if reason in self._said:
            logger.debug(text, job.entry.source, reason)
            return
        self._said.add(reason)
        logger.info(text, job.entry.source, reason)


@dataclass(slots=True, eq=False)
class ForeignLayers:
    """Copies foreign layers to the destination: no tool does.

    Only the source is asked for them, never one of their addresses: these are the words of a
    manifest, and would make this program send requests to wherever it says.
    """

    retry: RetryPolicy

    async def bring(self, job: Job, children: Iterable[ChildManifest]) -> None:
        """Place the foreign layers of `children`; `job.warnings` name those the source has not."""
        layers = {layer.digest: layer for child in children for layer in child.manifest.foreign}
        await together(
            self._bring(job, layer) for digest, layer in layers.items() if digest not in job.foreign
        )

    async def _bring(self, job: Job, layer: Descriptor) -> None:
        if await is_held(job, layer):
            if job.mount_from is not None:
                job.end.ledger.note(job.mount_from, layer.digest, layer.size)
            wish = placement(job, layer)
            await repeat_async(
                self.retry, lambda: job.end.placer.place(wish), on_retry=warn_of_retry
            )
        elif layer.digest not in job.foreign:
            job.warn(
                f"foreign layer {layer.digest} is not copied, since the source does not have it:"
                f" clients download it from {next(iter(layer.urls), 'an unknown address')}"
            )
        job.foreign.add(layer.digest)


async def is_held(job: Job, layer: Descriptor) -> bool:
    """Return whether the source holds `layer` with the size its manifest states: one HEAD."""
    return await size_of(job.source.store, job.source.name, layer.digest) == layer.size


def placement(job: Job, blob: Descriptor, content: bytes | None = None) -> Placement:
    """Return the wish to have a blob of the source in the destination repository."""
    return Placement(
        blob=blob,
        origin=job.source.store,
        origin_repository=job.source.name,
        repository=job.destination.name,
        traffic=job.traffic,
        content=content,
        changes_tag=job.changes_tag,
    )


def warn_of_retry(error: ImageToolsError, seconds: float) -> None:
    """Log that a failed attempt is repeated in so many seconds."""
    logger.warning("{}; trying again in {:.0f} s", error, seconds)
