"""`mirror`: an image list from registries to registries."""

from __future__ import annotations

import signal
from concurrent.futures import CancelledError

from image_tools.commands.list_run import ListRun
from image_tools.errors import Interrupted
from image_tools.imagelist.entry import ImageList
from image_tools.report import PlanRow
from image_tools.run.engine import Engine
from image_tools.run.foresight import Foresight
from image_tools.run.gear import Gear


class MirrorRun(ListRun):
    """One run of `mirror`."""

    command = "mirror"

    def plan(self, images: ImageList) -> tuple[PlanRow, ...]:
        """What `mirror` would do with `images`."""
        future = self._loop.submit(Foresight(self._geared(images)).rows(images))
        self._foreseen = future
        if self._signal is not None:
            future.cancel()
        try:
            return future.result()
        except CancelledError:
            raise Interrupted(self._signal or signal.SIGINT) from None

    def _engine_over(self, gear: Gear) -> Engine:
        return Engine(gear, self._ended)
