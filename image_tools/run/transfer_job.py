"""The cut between deciding and carrying out: what one image needs, as a value that can be sent.

Everything before it (probe, read, plan, pull limits) and behind it (state, failed list, report)
happens in the coordinating process. A transfer may happen in another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from image_tools.exchange.ledger import Traffic
from image_tools.imagelist.entry import Entry
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.platform import Platform
from image_tools.plan.inputs import ChildManifest, DestinationImage, PlanOptions
from image_tools.plan.plan import Action, Plan
from image_tools.plan.referrers import FoundReferrers
from image_tools.plan.schedule import Lane, Work
from image_tools.report import Outcome
from image_tools.run.options import Options
from image_tools.stores.store import ManifestHead


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferJob:
    """One image to copy: frozen, and complete enough to be pickled.

    `children` are the missing manifests of `plan`. A schema 1 source has neither before it is
    converted: `convert` is the platform it states, and `wish` says how to plan what it becomes.
    `mount_from` is the repository of the destination registry that has the source's blobs too.
    `knows_referrers`: they were looked for. `changes_tag`: the tag exists and will lead to
    something else. `warnings` were logged already.
    """

    entry: Entry
    options: Options
    source: ManifestHead
    plan: Plan = field(default_factory=lambda: Plan(action=Action.COPY))
    children: tuple[ChildManifest, ...] = ()
    convert: Platform | None = None
    wish: PlanOptions = field(default_factory=PlanOptions)
    existing: DestinationImage | None = None
    referrers: FoundReferrers = field(default_factory=FoundReferrers)
    knows_referrers: bool = False
    mount_from: str | None = None
    changes_tag: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def lane(self) -> Lane:
        """Return the registries this job occupies."""
        return self.entry.source.registry, self.entry.destination.registry

    @property
    def blobs(self) -> Mapping[Digest, int]:
        """Return the sizes in bytes of the blobs that the children need."""
        return {b.digest: b.size for child in self.children for b in child.manifest.blobs}

    @property
    def work(self) -> Work:
        """Return this image as the schedule sees it."""
        return Work(image=self.entry.number, lane=self.lane, blobs=self.blobs)

    @property
    def manifests(self) -> Iterator[tuple[Digest, RawManifest]]:
        """Yield the manifests that were read for it: a transfer need not read them again."""
        for child in self.children:
            yield child.digest, child.raw
        exact = self.plan.final.exact if self.plan.final is not None else None
        for raw in (*self.plan.nested, *([exact] if exact is not None else [])):
            yield raw.digest, raw


class Transfers(Protocol):
    """The protocol for carrying out transfers, in this process or elsewhere."""

    def hurry(self) -> None:
        """Begin to look for the tools: a transfer is likely to follow."""

    async def ready(self) -> None:
        """Return once both tools are usable; raise ToolMissing or ToolTooOld otherwise."""

    async def carry_out(self, job: TransferJob, traffic: Traffic) -> Outcome:
        """Copy the image of `job`, publish its tag and read it back; return the outcome `copied`.

        The bytes that move are counted in `traffic`. Raise ImageToolsError for what prevented it.
        """

    async def close(self) -> None:
        """End what runs and give back what is open."""
