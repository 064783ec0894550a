"""`load` and `load-validate`: the images of an archive into registries."""

from __future__ import annotations

from image_tools.commands.archive_ends import OutOfArchive
from image_tools.commands.mirror import MirrorRun
from image_tools.commands.validate import ValidateRun


class LoadRun(OutOfArchive, MirrorRun):
    """One run of `load`."""

    command = "load"


class LoadValidateRun(OutOfArchive, ValidateRun):
    """One run of `load-validate`."""

    command = "load-validate"
