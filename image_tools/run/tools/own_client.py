"""What no tool can carry: our own client writes the manifest's exact bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

from loguru import logger

from image_tools.errors import ImageToolsError
from image_tools.oci.manifest import RawManifest
from image_tools.retry import RetryPolicy, repeat_async
from image_tools.run.line.job import Job

OWN_CLIENT = "own-client"


@dataclass(slots=True, eq=False)
class OwnClient:
    """Writes manifests whose blobs or children lie in the destination repository already.

    It is the last resort: whoever calls it knows why neither skopeo nor buildx can do it. What a
    registry, a digest or a policy refuses is no such reason.
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
            on_retry=_warn,
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


def _warn(error: ImageToolsError, seconds: float) -> None:
    logger.warning("{}; trying again in {:.0f} s", error, seconds)
