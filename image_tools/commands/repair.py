"""`save --repair`: what an archive has lost is fetched again, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from loguru import logger

from image_tools.commands.request import ArchiveChoice
from image_tools.commands.save import SaveRun
from image_tools.errors import ArchiveDamaged
from image_tools.imagelist.entry import Entry, ImageList
from image_tools.report import Report
from image_tools.run.memory import Memory, RepairMemory
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.image_contents import incomplete_images
from image_tools.stores.archive.opening import lost_volumes, repair_archive
from image_tools.stores.archive.repair import RepairingContent

_MIB = 1 << 20
_MOST_NAMED = 5


class RepairRun(SaveRun):
    """One run of `save --repair`."""

    def _begun(self, choice: ArchiveChoice) -> Archive:
        logger.info("{}: every byte of it is read, to see what is damaged", choice.path)
        archive = repair_archive(choice.path, choice.part_size)
        self._content = archive.content
        for line in lost_volumes(archive):
            logger.warning("{}", line)
        if isinstance(self._content, RepairingContent):
            for digest in self._content.damaged:
                logger.warning("{}: blob {} is damaged", archive.name, digest)
        return archive

    def _memory(self) -> Memory | None:
        assert self._destination_archive is not None
        return RepairMemory(self._destination_archive)

    def run(self, images: ImageList) -> Report:
        """The report of those images that lack something; the others are left alone.

        ArchiveDamaged when the list did not name all of them. Otherwise as `ListRun.run`.
        """
        report = super().run(replace(images, entries=self._wanted(images)))
        left = self._left()
        if left and not report.exit_code:
            raise ArchiveDamaged(
                f"{self._name} is not whole yet: something is missing of {_named(left)}",
                advice="run again with a list that names them, and the --arch and --os of the save;"
                " save without --repair drops platforms that are lost and not chosen",
            )
        return report

    @property
    def _name(self) -> str:
        assert self._destination_archive is not None
        return self._destination_archive.name

    def _wanted(self, images: ImageList) -> tuple[Entry, ...]:
        """The entries of the list that lack something, each as it was when it was saved."""
        archive = self._destination_archive
        assert archive is not None
        if not archive.catalogue.tags:
            logger.warning("{}: what is in it is not known, all of the list is saved", archive.name)
            return images.entries
        wanted = incomplete_images(archive)
        logger.info("{}: something is missing of {} images", archive.name, len(wanted))
        named = (entry for entry in images.entries if entry.destination in wanted)
        return tuple(_pinned(entry, archive) for entry in named)

    def _left(self) -> tuple[str, ...]:
        assert self._destination_archive is not None
        return tuple(map(str, sorted(incomplete_images(self._destination_archive))))

    def _conclude(self) -> None:
        archive, content = self._destination_archive, self._content
        assert archive is not None
        assert isinstance(content, RepairingContent)
        fetched = content.fetched
        size = sum(fetched.values()) / _MIB
        logger.info("{}: {} blobs fetched again, {:,.1f} MiB", archive.name, len(fetched), size)
        if self._signal is not None or self._left():
            logger.warning("{} is not finished: run again, it goes on from here", archive.name)
            return
        archive.content.publish(archive.catalogue.index_bytes())
        logger.info("{} is whole", archive.name)
        for digest in content.damaged:
            logger.warning("{}: the damaged blob {} is in no image", archive.name, digest)


def _pinned(entry: Entry, archive: Archive) -> Entry:
    """`entry` with the digest that was saved: its tag may have moved since."""
    origin = archive.origin(entry.destination)
    if origin is None or origin.source != str(entry.source):
        return entry
    return replace(entry, source=replace(entry.source, digest=origin.digest))


def _named(images: tuple[str, ...]) -> str:
    more = len(images) - _MOST_NAMED
    return ", ".join(images[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
