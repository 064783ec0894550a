"""The services that the lines of a run share: in the coordinating process, and for transfers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from image_tools.exchange.ledger import Traffic
from image_tools.imagelist.entry import Entry
from image_tools.oci.reference import Reference
from image_tools.run.behind import Behind
from image_tools.run.endpoints import Endpoints
from image_tools.run.job import Job
from image_tools.run.memory import Base, Memory
from image_tools.run.options import Options
from image_tools.run.preflight import Preflight
from image_tools.run.progress import Progress
from image_tools.run.quota import Quota
from image_tools.run.reader import Reader
from image_tools.run.referrers import ReferrerFinder
from image_tools.run.scheduler import Scheduler
from image_tools.run.tools.assembler import Assembler
from image_tools.run.tools.copier import Copier
from image_tools.run.tools.referrers import ReferrerCopier
from image_tools.run.tools.signer import Signer
from image_tools.run.tools.toolbox import Toolbox
from image_tools.run.transfer_job import Transfers


@dataclass(slots=True, eq=False, kw_only=True)
class TransferContext:
    """The services that all transfers of one process share; each job brings its own options.

    Without `referrers` signatures stay behind; without a `signer` nothing is signed.
    """

    endpoints: Endpoints
    toolbox: Toolbox
    reader: Reader
    copier: Copier
    assembler: Assembler
    progress: Progress
    referrers: ReferrerCopier | None = None
    signer: Signer | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class RunContext:
    """The services that all lines of one run share in the coordinating process.

    `transfers` carry out what was planned; `local` is the context for transfers in this process.
    `reads_directly` says which sources skopeo reads past the exchange. `traffic` adds up the bytes
    of all lines. Without `referrers` no signatures are looked up. Images that `base` has need not
    be at the destination.
    """

    options: Options
    endpoints: Endpoints
    reader: Reader
    scheduler: Scheduler
    progress: Progress
    quota: Quota
    transfers: Transfers
    local: TransferContext
    reads_directly: Callable[[Reference], bool]
    state: Memory | None = None
    preflight: Preflight | None = None
    referrers: ReferrerFinder | None = None
    base: Base | None = None
    traffic: Traffic = field(default_factory=Traffic)
    behind: Behind = field(default_factory=Behind)

    def job(self, entry: Entry) -> Job:
        """Return a new job for `entry`; its bytes are added to those of the run."""
        self.endpoints.note_destination(entry.destination)
        return Job.between(self.endpoints, entry, Traffic(self.traffic))

    def line_job(self, entry: Entry) -> Job:
        """Return a new job for a line of a list.

        Raise UsageError where the line would copy a place to itself.
        """
        self.endpoints.check_apart(entry.source, entry.destination)
        return self.job(entry)

    async def close(self) -> None:
        """End the transfers and close all connections."""
        await self.transfers.close()
        await self.endpoints.close()
