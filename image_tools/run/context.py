"""What all jobs of a run share."""

from __future__ import annotations

from dataclasses import dataclass, field

from image_tools.exchange.ledger import Account
from image_tools.imagelist.entry import Entry
from image_tools.run.dispatch import Dispatch
from image_tools.run.endpoints import Endpoints
from image_tools.run.line.behind import Behind
from image_tools.run.line.job import Job
from image_tools.run.line.reader import Reader, Repository
from image_tools.run.memory import Base, Memory
from image_tools.run.options import Options
from image_tools.run.preflight import Preflight
from image_tools.run.progress import Progress
from image_tools.run.quota import Quota
from image_tools.run.tools.assembler import Assembler
from image_tools.run.tools.copier import Copier
from image_tools.run.tools.referrers import Companions
from image_tools.run.tools.signer import Signer
from image_tools.run.tools.toolbox import Toolbox


@dataclass(slots=True, eq=False, kw_only=True)
class RunContext:
    """The shared parts of one run; `account` adds up the bytes of all jobs.

    Without `companions` signatures stay behind; without a `signer` nothing is signed. What `base`
    has need not be at the destination.
    """

    options: Options
    ends: Endpoints
    toolbox: Toolbox
    reader: Reader
    copier: Copier
    assembler: Assembler
    dispatch: Dispatch
    progress: Progress
    quota: Quota
    state: Memory | None
    preflight: Preflight | None = None
    companions: Companions | None = None
    signer: Signer | None = None
    base: Base | None = None
    account: Account = field(default_factory=Account)
    behind: Behind = field(default_factory=Behind)

    def job(self, entry: Entry) -> Job:
        """A new job for `entry`."""
        self.ends.note_destination(entry.destination)
        return Job(
            entry=entry,
            source=Repository(
                self.ends.source_store(entry.source.registry), entry.source.repository
            ),
            end=self.ends.destination_end(entry.destination.registry),
            mount_from=self.ends.mount_place(entry.source, entry.destination),
            account=Account(self.account),
        )

    def line_job(self, entry: Entry) -> Job:
        """A new job for a line of a list; UsageError where it would copy a place to itself."""
        self.ends.check_apart(entry.source, entry.destination)
        return self.job(entry)

    async def close(self) -> None:
        """End what the tools left running, give back all connections."""
        await self.toolbox.close()
        await self.ends.close()
