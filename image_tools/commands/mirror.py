"""`mirror`: an image list from registries to registries."""

from __future__ import annotations

from image_tools.commands.list_run import ListRun
from image_tools.imagelist.entry import ImageList
from image_tools.report import DryRunPlan
from image_tools.run.context import RunContext
from image_tools.run.dry_run import Foresight
from image_tools.run.engine import Engine


class MirrorRun(ListRun):
    """One run of `mirror`."""

    command = "mirror"

    def plan(self, images: ImageList) -> DryRunPlan:
        """What `mirror` would do with `images`."""
        return self._result_of(Foresight(self._geared(images)).outlook(images))

    def _engine_over(self, gear: RunContext) -> Engine:
        return Engine(gear, self._ended)
