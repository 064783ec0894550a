"""The mode of `mirror`, `save`, `load` and others: each image is copied."""

from __future__ import annotations

from dataclasses import dataclass, replace

from loguru import logger

from image_tools.report import Outcome
from image_tools.run.context import RunContext
from image_tools.run.job import Job
from image_tools.run.line.plan import plan_image, with_referrers
from image_tools.run.line.probe import Probed, probe
from image_tools.run.line.read import read
from image_tools.run.line.remember import remember_copied
from image_tools.run.outcomes import OutcomeMode
from image_tools.run.transfer_job import TransferJob


@dataclass(slots=True)
class CopyMode(OutcomeMode):
    """Copies each image that is not at its destination as it is wanted."""

    context: RunContext
    reads_indexes_only: bool = False
    writes: bool = True

    async def probe(self, job: Job) -> Probed | Outcome:
        """See `Mode`."""
        return await probe(self.context, job)

    async def read_and_plan(self, job: Job, probed: Probed) -> TransferJob | Outcome:
        """See `Mode`."""
        return await plan_image(self.context, job, await read(self.context, job, probed))

    async def finish(self, job: Job, task: TransferJob) -> Outcome:
        """Transfer, publish and confirm the image wherever that happens; remember it here."""
        logger.info("Copying [{}] => [{}]", job.entry.source, job.entry.destination)
        task = await with_referrers(self.context, job, task)
        outcome = await self.context.transfers.carry_out(task, job.traffic)
        outcome = remember_copied(self.context, job, outcome)
        logger.info("{}: copied ({})", job.entry.destination, ", ".join(outcome.platforms))
        return outcome

    def completed(self, result: Outcome, *, seconds: float, moved: int) -> Outcome:
        """See `Mode`."""
        ended = OutcomeMode.completed(self, result, seconds=seconds, moved=moved)
        return replace(ended, behind=result.behind or self.context.options.look_behind)
