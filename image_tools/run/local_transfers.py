"""Transfers carried out by this process: the one implementation of `Transfers` there is so far."""

from __future__ import annotations

from image_tools.errors import ImageToolsError
from image_tools.exchange.ledger import Traffic
from image_tools.report import Outcome
from image_tools.run.context import TransferContext
from image_tools.run.job import Job
from image_tools.run.line.confirm import confirm
from image_tools.run.line.publish import publish
from image_tools.run.line.transfer import transfer
from image_tools.run.transfer_job import TransferJob


class LocalTransfers:
    """Carries out transfers with the tools and connections of `context`."""

    def __init__(self, context: TransferContext) -> None:
        self.context = context

    def hurry(self) -> None:
        """See `Transfers`."""
        self.context.toolbox.hurry()

    async def ready(self) -> None:
        """See `Transfers`."""
        await self.context.toolbox.tools()

    async def carry_out(self, job: TransferJob, traffic: Traffic) -> Outcome:
        """See `Transfers`."""
        context = self.context
        context.endpoints.note_destination(job.entry.destination)
        local = Job.between(context.endpoints, job.entry, traffic)
        local.mount_from, local.changes_tag = job.mount_from, job.changes_tag
        for digest, raw in job.manifests:
            context.reader.remember(digest, raw)
        try:
            local.check_open()
            done = await transfer(context, local, job)
            published = await publish(context, local, job, done)
            return await confirm(context, local, job, published)
        except ImageToolsError as error:
            local.closed_by(error)
            raise

    async def close(self) -> None:
        """See `Transfers`."""
        await self.context.toolbox.close()
