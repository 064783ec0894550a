"""One list entry under way, and what the run shares between all of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from image_tools.errors import ImageToolsError
from image_tools.exchange.accounts import Account
from image_tools.imagelist.entry import Entry
from image_tools.plan.schedule import Lane
from image_tools.run.ends import Destination
from image_tools.run.reading import Repository
from image_tools.stores.remote.meter import Share


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """One entry with both its repositories and its own account of bytes.

    `held` are pulls that skopeo will make by itself. `in_one_place`: both are of one registry,
    which can mount the blobs of the one in the other. `by_own_client`: no tool could carry one of
    its manifests, so that our own client wrote it. `changes_tag`: the tag exists at the destination
    and is to lead to something else.
    """

    entry: Entry
    source: Repository
    end: Destination
    in_one_place: bool = False
    account: Account = field(default_factory=Account)
    held: Share | None = None
    by_own_client: bool = False
    changes_tag: bool = False

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
