"""The mode of `--dry-run`: what a run would do with each image, found out without writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from image_tools.errors import Deferred, ImageToolsError
from image_tools.exchange.presence import find_blob
from image_tools.imagelist.entry import Entry, Problem
from image_tools.machine.concurrency import together
from image_tools.oci.digest import Digest
from image_tools.plan.cost import unaffordable
from image_tools.plan.plan import Plan
from image_tools.report import DryRunPlan, Outcome, PlanAction, PlanRow, Status
from image_tools.run.context import RunContext
from image_tools.run.job import Job
from image_tools.run.line.plan import plan_image
from image_tools.run.line.probe import Probed, probe
from image_tools.run.line.read import read
from image_tools.run.outcomes import invalid_row, plan_row, platforms_of, pulls_of
from image_tools.run.platforms import kept_entries
from image_tools.run.tools.own_client import is_held
from image_tools.run.transfer_job import TransferJob

_ACTIONS = {Status.UNCHANGED: PlanAction.UNCHANGED, Status.SKIPPED: PlanAction.SKIP}
_BROKEN = frozenset({PlanAction.FAIL, PlanAction.INVALID})


@dataclass(slots=True, eq=False)
class DryRunMode:
    """Plans a list; a blob that several images need is counted once per destination registry.

    Where a registry counts pulls only indexes are read: the plan must not use what the run needs.
    """

    context: RunContext
    reads_indexes_only: bool = True
    writes: bool = False
    _counted: set[tuple[str, Digest]] = field(default_factory=set)
    _read_once: set[Digest] = field(default_factory=set)
    _billed_by: dict[int, str] = field(default_factory=dict)

    async def probe(self, job: Job) -> Probed | PlanRow:
        """See `Mode`."""
        probed = await probe(self.context, job)
        return _row_of(job, probed) if isinstance(probed, Outcome) else probed

    async def read_and_plan(self, job: Job, probed: Probed) -> TransferJob | PlanRow:
        """See `Mode`."""
        self._billed_by[job.entry.number] = probed.source.registry
        planned = await plan_image(self.context, job, await read(self.context, job, probed))
        return _row_of(job, planned) if isinstance(planned, Outcome) else planned

    async def finish(self, job: Job, task: TransferJob) -> PlanRow:
        """Return the row of an image that a run would copy."""
        row = plan_row(job.entry, PlanAction.COPY)
        if task.convert is not None:
            reason = "Docker schema 1, converted to schema 2"
            return replace(row, platforms=(str(task.convert),), manifest_gets=1, reason=reason)
        copies = {entry.digest for entry in task.plan.copies}
        fresh = copies - self._read_once
        self._read_once |= copies
        return replace(
            row,
            platforms=platforms_of(task.plan.wanted),
            bytes_to_move=await self._bytes(job, task),
            manifest_gets=1 + len(task.plan.nested) + len(fresh - {task.source.digest}),
            reason=_remark(task.plan),
            kept=kept_entries(self.context.options, self.context.endpoints, task.plan),
        )

    def failed(self, entry: Entry, error: ImageToolsError) -> PlanRow:
        """See `Mode`."""
        if isinstance(error, Deferred):
            row = plan_row(entry, PlanAction.DEFER)
            return replace(row, manifest_gets=error.needed, reason=str(error))
        return replace(plan_row(entry, PlanAction.FAIL), reason=str(error))

    def interrupted(self, entry: Entry, *, started: bool) -> PlanRow:
        """See `Mode`."""
        return replace(
            plan_row(entry, PlanAction.FAIL), reason="interrupted" if started else "not started"
        )

    def invalid(self, problem: Problem) -> PlanRow:
        """See `Mode`."""
        return invalid_row(problem)

    def completed(
        self,
        result: PlanRow,
        *,
        seconds: float,  # noqa: ARG002 (a plan tells no time)
        moved: int,  # noqa: ARG002 (a plan moves nothing)
    ) -> PlanRow:
        """See `Mode`."""
        return result

    def status(self, result: PlanRow) -> Status:
        """See `Mode`."""
        return Status.FAILED if result.action in _BROKEN else Status.UNCHANGED

    def outlook(self, rows: Sequence[PlanRow]) -> DryRunPlan:
        """Return all rows, those put off that a pull limit has no room for, and what was spent."""
        meters = self.context.endpoints.meters.limited
        return DryRunPlan(tuple(self._affordable(rows)), tuple(map(pulls_of, meters)))

    def _affordable(self, rows: Sequence[PlanRow]) -> list[PlanRow]:
        found = list(rows)
        for meter in self.context.endpoints.meters.limited:
            places = [
                place
                for place, row in enumerate(rows)
                if row.action is PlanAction.COPY
                and self._billed_by.get(row.number) == meter.registry
            ]
            costs = [rows[place].manifest_gets for place in places]
            for at in unaffordable(costs, meter.available or 0):
                row = rows[places[at]]
                reason = str(meter.deferred(row.manifest_gets))
                found[places[at]] = replace(row, action=PlanAction.DEFER, reason=reason)
        return found

    async def _bytes(self, job: Job, task: TransferJob) -> int | None:
        """Return the bytes that would move, None if not all manifests were read."""
        if len(task.children) < len(task.plan.copies):
            return None
        blobs = dict(task.blobs)
        foreign = {b.digest: b for child in task.children for b in child.manifest.foreign}
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
        try:
            found = await find_blob(job.destination.store, job.destination.name, digest, size)
        except BaseException:
            self._counted.discard(key)  # Another image that needs it asks again.
            raise
        return size if found.size is None else 0


def _row_of(job: Job, outcome: Outcome) -> PlanRow:
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
