"""`save --repair`: the archive fetches what it has lost, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from loguru import logger

from image_tools.commands.ends import ArchiveDestination, OpenArchive, say_unfinished
from image_tools.errors import ArchiveDamaged
from image_tools.imagelist.entry import Entry, ImageList
from image_tools.machine.files import mib
from image_tools.report import Report
from image_tools.run.memory import Memory, RepairMemory
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.image_contents import incomplete_images
from image_tools.stores.archive.opening import lost_volumes, repair_archive

_MOST_NAMED = 5


def open_to_repair(end: ArchiveDestination) -> RepairedArchive:
    """Read every byte of the archive at `end`, warn of what is damaged, open it for a repair."""
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
            say_unfinished(archive)
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
