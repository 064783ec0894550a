"""`mirror`: an image list from registries to registries."""

from __future__ import annotations

from image_tools.commands.list_run import ListRun
from image_tools.imagelist.entry import ImageList
from image_tools.report import DryRunPlan, Outcome
from image_tools.run.context import RunContext
from image_tools.run.copying import CopyMode
from image_tools.run.dry_run import DryRunMode
from image_tools.run.engine import Engine


class MirrorRun(ListRun):
    """One run of `mirror`."""

    command = "mirror"

    def plan(self, images: ImageList) -> DryRunPlan:
        """What `mirror` would do with `images`."""
        mode = DryRunMode(self._opened_context(images))
        engine = Engine(mode.context, mode, lambda row: row)
        rows = self._result_of(engine.run(images))
        if engine.fatal is not None:
            raise engine.fatal
        return mode.outlook(rows)

    def _engine_over(self, context: RunContext) -> Engine[Outcome]:
        return Engine(context, CopyMode(context), self._ended)
