"""One list entry under way, and what the run shares between all of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from loguru import logger

from image_tools.errors import ImageToolsError
from image_tools.exchange.ledger import Account
from image_tools.imagelist.entry import Entry
from image_tools.oci.digest import Digest
from image_tools.plan.schedule import Lane
from image_tools.run.endpoints import Destination
from image_tools.run.line.reader import Repository
from image_tools.stores.remote.limits.meter import Share


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """One entry with both its repositories and its own account of bytes.

    `held` are pulls that skopeo will make by itself. `mount_from` is the repository of the
    destination registry that holds the source's blobs, too, where one does. `by_own_client`: no
    tool could carry one of its manifests, so that our own client wrote it. `changes_tag`: the tag
    exists at the destination and is to lead to something else. `foreign` are the foreign layers
    that were looked for; `warnings` are what has to be said of the image.
    """

    entry: Entry
    source: Repository
    end: Destination
    mount_from: str | None = None
    account: Account = field(default_factory=Account)
    held: Share | None = None
    by_own_client: bool = False
    changes_tag: bool = False
    foreign: set[Digest] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        """Log `text`, which the outcome of the image will say, too."""
        logger.warning("{}: {}", self.entry.source, text)
        self.warnings.append(text)

    def hold(self, share: Share | None) -> None:
        """Keep the pulls a tool will make by itself; those kept before are given back."""
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
        """The repository written to."""
        return Repository(self.end.store, self.entry.destination.repository)

    @property
    def tag(self) -> str:
        """The tag written to."""
        return self.entry.destination.tag or "latest"

    def check_open(self) -> None:
        """Raise why the destination takes no more pushes, where an earlier one told so."""
        self.end.book.ledger.closed.check(
            str(self.entry.destination), self.destination.name, changes_tag=self.changes_tag
        )

    def closed_by(self, error: ImageToolsError) -> None:
        """Remember for the images that follow what `error`, the end of this one, closes."""
        self.end.book.ledger.closed.note(self.destination.name, error)

    @property
    def lane(self) -> Lane:
        """The registries this job occupies."""
        return self.entry.source.registry, self.entry.destination.registry
