"""`archive export` and `archive merge`: images out of one archive into another."""

from __future__ import annotations

from contextlib import ExitStack

from image_tools.commands.archive_ends import IntoArchive, OutOfArchive
from image_tools.commands.mirror import MirrorRun
from image_tools.run.memory import Memory, PassedOn
from image_tools.stores.archive.opening import read_archive


class ExportRun(IntoArchive, OutOfArchive, MirrorRun):
    """One run of `archive export`: both ends are archives."""

    command = "archive export"

    def _open_archive(self, stack: ExitStack) -> None:
        assert self._request.source_archive is not None
        path, foreign = self._request.source_archive, self._request.foreign
        self._source_archive = read_archive(path, foreign=foreign)
        stack.callback(self._source_archive.close)
        super()._open_archive(stack)

    def _memory(self) -> Memory | None:
        assert self._source_archive is not None
        assert self._destination_archive is not None
        return PassedOn(self._source_archive, self._destination_archive)


class ArchiveMergeRun(ExportRun):
    """One archive's part in a run of `archive merge`."""

    command = "archive merge"
