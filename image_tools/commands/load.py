"""`load` and `load-validate`: the images of an archive into registries."""

from __future__ import annotations

from image_tools.commands.archive_ends import OutOfArchive
from image_tools.commands.mirror import MirrorRun
from image_tools.commands.validate import ValidateRun
from image_tools.imagelist.entry import ImageList
from image_tools.report import Report
from image_tools.run.base_inventory import Lending


class LoadRun(OutOfArchive, MirrorRun):
    """One run of `load`. What the archive relies on must be there before anything is written."""

    command = "load"

    def run(self, images: ImageList) -> Report:
        """As `ListRun.run`; NotFound when what the archive relies on is not at a destination."""
        archive = self._source_archive
        assert archive is not None
        if archive.lent:
            endpoints = self._opened_context(images).endpoints
            lending = Lending(archive, endpoints, self._request.archived_to)
            self._loop.submit(lending.find(images.entries)).result()
        return super().run(images)


class LoadValidateRun(OutOfArchive, ValidateRun):
    """One run of `load-validate`."""

    command = "load-validate"
