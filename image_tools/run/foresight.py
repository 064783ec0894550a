"""What a run would do, found out without writing anything."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from image_tools.errors import ImageToolsError
from image_tools.imagelist.entry import Entry, ImageList
from image_tools.oci.digest import Digest
from image_tools.report import Outcome, PlanAction, PlanRow, Status
from image_tools.run.gear import Gear
from image_tools.run.job import Job
from image_tools.run.outcomes import invalid_row, plan_row, platforms_of
from image_tools.run.preparing import Prepared, prepare
from image_tools.run.together import together, within

_ACTIONS = {Status.UNCHANGED: PlanAction.UNCHANGED, Status.SKIPPED: PlanAction.SKIP}


@dataclass(slots=True, eq=False)
class Foresight:
    """Plans a list; a blob that several images need is counted once per destination registry."""

    gear: Gear
    _probes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(32))
    _counted: set[tuple[str, Digest]] = field(default_factory=set)

    async def rows(self, images: ImageList) -> tuple[PlanRow, ...]:
        """One row per line, in list order."""
        self.gear.progress.expect(len(images.entries))
        self.gear.ends.expect(
            [entry.source for entry in images.entries],
            [entry.destination for entry in images.entries],
        )
        rows = [invalid_row(problem) for problem in images.problems]
        rows += await together(self._row(entry) for entry in images.entries)
        return tuple(sorted(rows, key=lambda row: row.number))

    async def _row(self, entry: Entry) -> PlanRow:
        async with self._probes:
            try:
                work = self._planned(self.gear.job(entry))
                row = await within(self.gear.options.timeout, work)
                reason = f"{entry.source}: no answer in time"
            except ImageToolsError as error:
                row, reason = None, str(error)
        self.gear.progress.image_done(Status.UNCHANGED if row else Status.FAILED)
        return row or replace(plan_row(entry, PlanAction.FAIL), reason=reason)

    async def _planned(self, job: Job) -> PlanRow:
        prepared = await prepare(self.gear, job)
        if isinstance(prepared, Outcome):
            row = plan_row(job.entry, _ACTIONS[prepared.status])
            return replace(row, platforms=prepared.platforms, reason=prepared.reason)
        row = plan_row(job.entry, PlanAction.COPY)
        if prepared.convert is not None:
            reason = "Docker schema 1, converted to schema 2"
            return replace(row, platforms=(str(prepared.convert),), manifest_gets=1, reason=reason)
        return replace(
            row,
            platforms=platforms_of(prepared.plan.wanted),
            bytes_to_move=await self._bytes(job, prepared),
            manifest_gets=1 + len(prepared.plan.nested) + len(prepared.children),
        )

    async def _bytes(self, job: Job, prepared: Prepared) -> int:
        blobs = {b.digest: b.size for child in prepared.children for b in child.manifest.blobs}
        sizes = await together(self._missing(job, digest, size) for digest, size in blobs.items())
        return sum(sizes)

    async def _missing(self, job: Job, digest: Digest, size: int) -> int:
        key = (job.entry.destination.registry, digest)
        if key in self._counted:
            return 0
        self._counted.add(key)
        found = await job.destination.store.blob_size(job.destination.name, digest)
        return size if found is None else 0
