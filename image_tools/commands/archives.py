"""Archives as source or destination of a run: how it opens them, and what it leaves.

The formats of archives are imported when one is opened: most runs are between registries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from loguru import logger

from image_tools.errors import ArchiveDamaged
from image_tools.imagelist.entry import Entry, ImageList
from image_tools.machine.files import mib
from image_tools.oci.reference import Reference
from image_tools.plan.referrers import is_referrer_tag
from image_tools.report import Report
from image_tools.run.base_inventory import BaseBlobFinder
from image_tools.run.endpoints import Endpoints
from image_tools.run.memory import Memory, OriginMemory, RepairMemory
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.content import EmptyContent, Form
from image_tools.stores.archive.image_contents import incomplete_images
from image_tools.stores.archive.inventory import Inventory, note_relied, relied_on
from image_tools.stores.archive.others.cache import Foreign

# The names of the other images in an archive do not matter to a run that writes or compares it.
_ANY_NAMES = Foreign(lenient=True)
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSource:
    """The archive that images come from; `foreign` is how an archive of others is opened.

    `archived_to` gives the place that an image of the archive was loaded to.
    """

    path: Path
    foreign: Foreign = Foreign()
    archived_to: Callable[[Reference], Reference] | None = None

    def open(self) -> Archive:
        """Return the archive, opened to read."""
        from image_tools.stores.archive.opening import read_archive

        return read_archive(self.path, foreign=self.foreign)

    async def check_base(
        self, archive: Archive, endpoints: Endpoints, entries: Iterable[Entry]
    ) -> None:
        """Raise NotFound when the destinations lack what a delta archive relies on."""
        if archive.base_sizes:
            await BaseBlobFinder(archive, endpoints, self.archived_to).find(entries)


def archived_images(archive: Archive) -> tuple[Reference, ...]:
    """Return the images of an archive by name; referrers under tags of their own come with them."""
    return tuple(one for one in archive.images if not is_referrer_tag(one))


class OpenDestination:
    """A destination that is open for one run; this one consists of registries.

    `archive` is the archive that it is, None for registries.
    """

    archive: Archive | None = None

    def close(self) -> None:
        """Close the archive, if it is one."""

    def memory(self) -> Memory | None:
        """Return what the destination itself remembers of earlier runs, None for registries."""
        return None

    def chosen(self, images: ImageList) -> ImageList:
        """Return the part of the list that the run works on."""
        return images

    def publish(self, *, interrupted: bool) -> None:
        """Make what was written visible; called at the end of a run, also of a failed one."""

    def check(self, report: Report) -> None:
        """Raise what is wrong with the destination although every line of `report` is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveDestination:
    """The archive that images go to; `form` is the form of a new one.

    With `replace` a new archive takes the place of whatever is at `path`. With `part_size`, in
    bytes, a new one is written in volumes. With `repair` only lost content is copied. Content
    that `base` has is left out.
    """

    path: Path
    form: Form = Form.GZIP
    replace: bool = False
    part_size: int | None = None
    repair: bool = False
    base: Inventory | None = None

    @property
    def is_added_to(self) -> bool:
        """Return whether the run adds to an archive that exists."""
        from image_tools.stores.archive.opening import PathKind, detect

        return detect(self.path).kind is PathKind.ARCHIVE and not self.replace

    def to_write(self) -> OpenDestination:
        """Open the archive and lock it; raise AlreadyRunning when another run writes it."""
        from image_tools.stores.archive.opening import add_to_archive, new_archive

        if self.repair:
            return _to_repair(self)
        # The run that held the lock may have created it meanwhile.
        if self.is_added_to:
            return OpenArchive(add_to_archive(self.path), self)
        return OpenArchive(new_archive(self.path, self.form, self.part_size), self)

    def to_plan(self) -> OpenDestination:
        """Open the archive for a dry run, as far as it exists."""
        from image_tools.stores.archive.opening import read_archive

        if not self.is_added_to:
            return OpenArchive(Archive(EmptyContent(str(self.path))), self)
        return OpenArchive(read_archive(self.path, finished=False, foreign=_ANY_NAMES), self)

    def to_compare(self) -> OpenDestination:
        """Open the archive for a validation."""
        from image_tools.stores.archive.opening import read_archive

        return OpenArchive(read_archive(self.path, foreign=_ANY_NAMES), self)


class OpenArchive(OpenDestination):
    """An archive as destination; it remembers by itself where its images came from."""

    def __init__(self, archive: Archive, end: ArchiveDestination) -> None:
        self.archive: Archive = archive
        self._end = end
        if end.base is not None:
            archive.base_sizes = {**end.base.sizes, **archive.base_sizes}

    def close(self) -> None:
        """See `OpenDestination`."""
        self.archive.close()

    def memory(self) -> Memory:
        """See `OpenDestination`."""
        return OriginMemory(self.archive)

    def publish(self, *, interrupted: bool) -> None:
        """Publish the archive; an interrupted run leaves it as it is, for the next run."""
        archive, base = self.archive, self._end.base
        if interrupted:
            _say_unfinished(archive)
            return
        if archive.base_sizes:
            note_relied(archive, [relied_on(archive), *([base] if base else [])])
        archive.publish()
        if self._end.replace:
            archive.sweep()


def _say_unfinished(archive: Archive) -> None:
    """Warn that the archive still has to be finished."""
    logger.warning("{} is not finished: run again, it goes on from here", archive.name)


def _to_repair(end: ArchiveDestination) -> RepairedArchive:
    """Read every byte of the archive at `end`, warn of what is damaged, open it for a repair."""
    from image_tools.stores.archive.opening import lost_volumes, repair_archive

    logger.info("{}: every byte of it is read, to see what is damaged", end.path)
    archive = repair_archive(end.path, end.part_size)
    for line in lost_volumes(archive):
        logger.warning("{}", line)
    for digest in archive.damaged:
        logger.warning("{}: blob {} is damaged", archive.name, digest)
    return RepairedArchive(archive, end)


class RepairedArchive(OpenArchive):
    """An archive that is being repaired; it takes only the images that lack something."""

    def memory(self) -> Memory:
        """See `OpenDestination`."""
        return RepairMemory(self.archive)

    def chosen(self, images: ImageList) -> ImageList:
        """Return the entries that lack something, each with the digest it was saved with."""
        archive = self.archive
        if not archive.catalogue.tags:
            logger.warning("{}: what is in it is not known, all of the list is saved", archive.name)
            return images
        wanted = incomplete_images(archive)
        logger.info("{}: something is missing of {} images", archive.name, len(wanted))
        named = (entry for entry in images.entries if entry.destination in wanted)
        return replace(images, entries=tuple(_pinned(entry, archive) for entry in named))

    def publish(self, *, interrupted: bool) -> None:
        """Publish the archive when nothing is missing any more."""
        archive, fetched = self.archive, self.archive.fetched
        size = mib(sum(fetched.values()))
        logger.info("{}: {} blobs fetched again, {}", archive.name, len(fetched), size)
        if interrupted or incomplete_images(archive):
            _say_unfinished(archive)
            return
        archive.content.publish(archive.catalogue.index_bytes())
        logger.info("{} is whole", archive.name)
        for digest in archive.damaged:
            logger.warning("{}: the damaged blob {} is in no image", archive.name, digest)

    def check(self, report: Report) -> None:
        """Raise ArchiveDamaged when the list did not name every image that lacks something."""
        left = tuple(map(str, sorted(incomplete_images(self.archive))))
        if left and not report.exit_code:
            raise ArchiveDamaged(
                f"{self.archive.name} is not whole yet: something is missing of {_named(left)}",
                advice="run again with a list that names them, and the --arch and --os of the save;"
                " save without --repair drops platforms that are lost and not chosen",
            )


def _pinned(entry: Entry, archive: Archive) -> Entry:
    """Return `entry` with the digest that was saved: its tag may have moved since."""
    origin = archive.origin(entry.destination)
    if origin is None or origin.source != str(entry.source):
        return entry
    return replace(entry, source=replace(entry.source, digest=origin.digest))


def _named(images: tuple[str, ...]) -> str:
    more = len(images) - _MOST_NAMED
    return ", ".join(images[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
