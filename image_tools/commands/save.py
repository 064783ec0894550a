"""`save`, `sync` and `save-validate`: an image list from registries into an archive."""

from __future__ import annotations

from image_tools.commands.archive_ends import BesideArchive, IntoArchive
from image_tools.commands.mirror import MirrorRun
from image_tools.commands.validate import ValidateRun


class SaveRun(IntoArchive, MirrorRun):
    """One run of `save`."""

    command = "save"


class SyncRun(SaveRun):
    """One run of `sync`: a save into an archive that is there."""

    command = "sync"


class SaveValidateRun(BesideArchive, ValidateRun):
    """One run of `save-validate`."""

    command = "save-validate"
