"""What a run would do, found out without writing anything."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from image_tools.errors import Deferred, ImageToolsError, TimedOut
from image_tools.exchange.presence import looked_for
from image_tools.imagelist.entry import Entry, ImageList
from image_tools.machine.concurrency import together, within
from image_tools.oci.digest import Digest
from image_tools.plan.cost import unaffordable
from image_tools.plan.plan import Plan
from image_tools.report import DryRunPlan, Outcome, PlanAction, PlanRow, Status
from image_tools.run.context import RunContext
from image_tools.run.line.job import Job
from image_tools.run.line.platform_choice import kept_unasked
from image_tools.run.line.probe import Seen, look
from image_tools.run.line.read import Prepared, prepare
from image_tools.run.outcomes import invalid_row, plan_row, platforms_of, pulls_of
from image_tools.run.tools.foreign_layers import is_held

T = TypeVar("T")
_ACTIONS = {Status.UNCHANGED: PlanAction.UNCHANGED, Status.SKIPPED: PlanAction.SKIP}


@dataclass(slots=True, eq=False)
class Foresight:
    """Plans a list; a blob that several images need is counted once per destination registry.

    Where a registry counts pulls only indexes are read: the plan must not eat what the run needs.
    """

    gear: RunContext
    _probes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(32))
    _counted: set[tuple[str, Digest]] = field(default_factory=set)
    _read_once: set[Digest] = field(default_factory=set)
    _counting: dict[int, str] = field(default_factory=dict)

    async def outlook(self, images: ImageList) -> DryRunPlan:
        """One row per line, in list order, and what finding out has cost."""
        self.gear.progress.expect(len(images.entries))
        self.gear.ends.expect(
            [entry.source for entry in images.entries],
            [entry.destination for entry in images.entries],
        )
        rows = [invalid_row(problem) for problem in images.problems]
        rows += await together(self._row(entry) for entry in images.entries)
        rows = self._affordable(sorted(rows, key=lambda row: row.number))
        return DryRunPlan(tuple(rows), tuple(map(pulls_of, self.gear.ends.meters.limited)))

    async def _row(self, entry: Entry) -> PlanRow:
        try:
            row = await self._planned(self.gear.line_job(entry))
        except Deferred as error:
            bare = plan_row(entry, PlanAction.DEFER)
            row = replace(bare, manifest_gets=error.needed, reason=str(error))
        except ImageToolsError as error:
            row = replace(plan_row(entry, PlanAction.FAIL), reason=str(error))
        is_failure = row.action is PlanAction.FAIL
        self.gear.progress.image_done(Status.FAILED if is_failure else Status.UNCHANGED)
        return row

    async def _planned(self, job: Job) -> PlanRow:
        with self.gear.quota.looking(job.entry.source.registry):
            async with self._probes:
                seen = await self._timed(job, look(self.gear, job))
        if isinstance(seen, Outcome):
            return _settled(job, seen)
        wanted = seen.wanted(self.gear, job, tops_only=True)
        async with self.gear.quota.share(wanted), self._probes:
            return await self._timed(job, self._read(job, seen))

    async def _timed(self, job: Job, work: Coroutine[Any, Any, T]) -> T:
        result = await within(self.gear.options.timeout, work)
        if result is None:
            raise TimedOut(f"{job.entry.source}: no answer in time")
        return result

    async def _read(self, job: Job, seen: Seen) -> PlanRow:
        prepared = await prepare(self.gear, job, seen)
        if isinstance(prepared, Outcome):
            return _settled(job, prepared)
        self._counting[job.entry.number] = seen.source.registry
        row = plan_row(job.entry, PlanAction.COPY)
        if prepared.convert is not None:
            reason = "Docker schema 1, converted to schema 2"
            return replace(row, platforms=(str(prepared.convert),), manifest_gets=1, reason=reason)
        copies = {entry.digest for entry in prepared.plan.copies}
        fresh = copies - self._read_once
        self._read_once |= copies
        return replace(
            row,
            platforms=platforms_of(prepared.plan.wanted),
            bytes_to_move=await self._bytes(job, prepared),
            manifest_gets=1 + len(prepared.plan.nested) + len(fresh - {seen.source.digest}),
            reason=_remark(prepared.plan),
            kept=kept_unasked(self.gear, prepared.plan),
        )

    def _affordable(self, rows: Sequence[PlanRow]) -> list[PlanRow]:
        """The rows, with those put off that what is left now has no room for."""
        found = list(rows)
        for meter in self.gear.ends.meters.limited:
            places = [
                place
                for place, row in enumerate(rows)
                if row.action is PlanAction.COPY
                and self._counting.get(row.number) == meter.registry
            ]
            costs = [rows[place].manifest_gets for place in places]
            for at in unaffordable(costs, meter.available or 0):
                row = rows[places[at]]
                reason = str(meter.deferred(row.manifest_gets))
                found[places[at]] = replace(row, action=PlanAction.DEFER, reason=reason)
        return found

    async def _bytes(self, job: Job, prepared: Prepared) -> int | None:
        if len(prepared.children) < len(prepared.plan.copies):
            return None
        blobs = {b.digest: b.size for child in prepared.children for b in child.manifest.blobs}
        foreign = {b.digest: b for child in prepared.children for b in child.manifest.foreign}
        held = await together(is_held(job, layer) for layer in foreign.values())
        layers = (layer for layer, is_there in zip(foreign.values(), held, strict=True) if is_there)
        blobs.update({layer.digest: layer.size for layer in layers})
        sizes = await together(self._missing(job, digest, size) for digest, size in blobs.items())
        return sum(sizes)

    async def _missing(self, job: Job, digest: Digest, size: int) -> int:
        key = (job.entry.destination.registry, digest)
        if key in self._counted:
            return 0
        self._counted.add(key)
        found = await looked_for(job.destination.store, job.destination.name, digest, size)
        return size if found.size is None else 0


def _settled(job: Job, outcome: Outcome) -> PlanRow:
    row = plan_row(job.entry, _ACTIONS[outcome.status])
    return replace(row, platforms=outcome.platforms, reason=outcome.reason, kept=outcome.kept)


def _remark(decided: Plan) -> str:
    """Return what else happens to the tag: what it keeps unasked, and what leaves it."""
    kept, removed = platforms_of(decided.kept), platforms_of(decided.removed)
    texts = (
        f"keeps {', '.join(kept)}, which was not chosen and is not at the source" if kept else "",
        f"removes {', '.join(removed)}" if removed else "",
    )
    return "; ".join(filter(None, texts))
