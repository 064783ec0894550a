"""One list entry under way in one process: its stores, its traffic, what was said about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from loguru import logger

from image_tools.errors import ImageToolsError
from image_tools.exchange.ledger import Traffic
from image_tools.imagelist.entry import Entry
from image_tools.oci.digest import Digest
from image_tools.plan.schedule import Lane
from image_tools.run.endpoints import Destination, Endpoints
from image_tools.run.reader import Repository
from image_tools.stores.remote.limits.meter import Share


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """One entry with both its repositories and its own count of bytes.

    `held` are pulls that skopeo will make by itself. `mount_from` is the repository of the
    destination registry that holds the source's blobs too, if there is one. `by_own_client`: a tool
    could not carry one of the manifests, so our own client wrote it. `changes_tag`: the tag exists
    at the destination and will lead to something else. `foreign` are the foreign layers that were
    looked for; `warnings` are what the outcome says about the image.
    """

    entry: Entry
    source: Repository
    end: Destination
    mount_from: str | None = None
    traffic: Traffic = field(default_factory=Traffic)
    held: Share | None = None
    by_own_client: bool = False
    changes_tag: bool = False
    foreign: set[Digest] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def between(cls, endpoints: Endpoints, entry: Entry, traffic: Traffic) -> Job:
        """Return a job for `entry` between the stores of `endpoints`."""
        source, destination = entry.source, entry.destination
        return cls(
            entry=entry,
            source=Repository(endpoints.source_store(source.registry), source.repository),
            end=endpoints.destination_end(destination.registry),
            mount_from=endpoints.mount_place(source, destination),
            traffic=traffic,
        )

    def warn(self, text: str) -> None:
        """Log `text` and keep it for the outcome."""
        logger.warning("{}: {}", self.entry.source, text)
        self.warnings.append(text)

    def hold(self, share: Share | None) -> None:
        """Keep the pulls that a tool will make by itself; return those kept before."""
        if self.held is not None:
            self.held.close()
        self.held = share

    def spend_held(self) -> None:
        """Count the pulls that were kept as made."""
        if self.held is not None:
            self.held.spend()
            self.held = None

    @property
    def destination(self) -> Repository:
        """Return the repository written to."""
        return Repository(self.end.store, self.entry.destination.repository)

    @property
    def tag(self) -> str:
        """Return the tag written to."""
        return self.entry.destination.tag or "latest"

    def check_open(self) -> None:
        """Raise the reason if an earlier refusal closed the destination to pushes."""
        self.end.ledger.closed.check(
            str(self.entry.destination), self.destination.name, changes_tag=self.changes_tag
        )

    def closed_by(self, error: ImageToolsError) -> None:
        """Remember for later images what `error`, the end of this one, closes."""
        self.end.ledger.closed.note(self.destination.name, error)

    async def ensure_project(self) -> None:
        """Create the destination's project where the registry has projects and lacks this one.

        Raise CopyFailed if it could not be created.
        """
        projects, name = self.end.store.abilities.projects, self.destination.name
        if projects is not None and await projects.ensure_project(name):
            place = f"{self.end.store.name}/{name.partition('/')[0]}"
            logger.info("{}: the project was missing and is created", place)

    @property
    def lane(self) -> Lane:
        """Return the registries this job occupies."""
        return self.entry.source.registry, self.entry.destination.registry
