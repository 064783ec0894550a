"""Find the blobs that a delta archive relies on, before anything is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from loguru import logger

from image_tools.errors import ImageToolsError, NotFound
from image_tools.imagelist.entry import Entry
from image_tools.machine.concurrency import in_thread, together
from image_tools.oci.digest import Digest
from image_tools.oci.reference import Reference
from image_tools.run.endpoints import Destination, Endpoints
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.image_contents import contents_of
from image_tools.stores.archive.inventory import relied_on

SHOWN = 5


@dataclass(slots=True, eq=False)
class BaseBlobFinder:
    """Finds the blobs that `archive` lacks at the destinations.

    `archived_to` says where an image of the archive it relies on was loaded to.
    """

    archive: Archive
    endpoints: Endpoints
    archived_to: Callable[[Reference], Reference] | None

    async def find(self, entries: Iterable[Entry]) -> None:
        """Note where each blob that `entries` need lies; NotFound, naming them, when some do not.

        One HEAD for each, more where it is not where it was loaded to.
        """
        base = await in_thread(lambda: relied_on(self.archive))
        holders = base.holders()
        wanted = await in_thread(lambda: self._wanted(entries))
        missing = []
        for (registry, digest), repositories in wanted.items():
            places = [*repositories, *self._homes(registry, holders.get(digest, ()))]
            missing.append(self._look(registry, digest, list(dict.fromkeys(places))))
        lost = [digest for digest in await together(missing) if digest is not None]
        if lost:
            raise NotFound(
                f"{self.archive.name} relies on {base.name}: {_named(lost)} not at the destination",
                advice=f"load {base.name} first, or save again without --base",
            )
        logger.info("{}: what it relies on is there, {} blobs", self.archive.name, len(wanted))

    def _wanted(self, entries: Iterable[Entry]) -> dict[tuple[str, Digest], list[str]]:
        found: defaultdict[tuple[str, Digest], list[str]] = defaultdict(list)
        for entry in entries:
            contents = contents_of(self.archive, entry.source)
            for digest in contents.in_base if contents is not None else ():
                place = entry.destination
                found[place.registry, digest].append(place.repository)
        return found

    def _homes(self, registry: str, references: Iterable[Reference]) -> Iterable[str]:
        for reference in references:
            try:
                place = reference if self.archived_to is None else self.archived_to(reference)
            except ImageToolsError:
                continue
            if place.registry == registry:
                yield place.repository

    async def _look(self, registry: str, digest: Digest, places: list[str]) -> Digest | None:
        """Return None if a repository has the blob, which is noted; else return its digest."""
        end: Destination = self.endpoints.destination_end(registry)
        for repository in places:
            size = await end.store.blob_size(repository, digest)
            if size is not None:
                end.ledger.note(repository, digest, size)
                self.endpoints.base_blobs[digest] = (end.store, repository)
                return None
        return digest


def _named(lost: list[Digest]) -> str:
    shown = ", ".join(str(digest) for digest in lost[:SHOWN])
    more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
    return f"{len(lost)} blobs ({shown}{more}) are"
