"""The private folder into which a foreign archive is unpacked; removed when it is closed."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from image_tools.errors import DiskFull, EnvironmentProblem
from image_tools.machine.files import mib
from image_tools.machine.workspace import OwnedFolder, remove_orphans
from image_tools.oci.reference import Reference
from image_tools.stores.archive.folder import FolderContent

_OWNER = ".image-tools-cache"
_NAME = re.compile(r".+\.cache-[a-z0-9_]{8}")


@dataclass(frozen=True, slots=True)
class Foreign:
    """The options for opening archives of other programs.

    `cache` is the folder to unpack in, None for that of the archive; with `keep_cache` the result
    stays. `names` are for images without a whole name: one with a digest is for that image, one
    without for the others. If `lenient`, images may stay without a name; otherwise that is an
    error.
    """

    cache: Path | None = None
    keep_cache: bool = False
    names: tuple[Reference, ...] = ()
    lenient: bool = False


class Cache(OwnedFolder):
    """The folder of one unpacked archive; with `keep` it stays when it is closed."""

    keep = False

    @classmethod
    def create(cls, archive: Path, choice: Foreign) -> Cache:
        """Return a new folder; those of killed runs are removed first.

        Raise EnvironmentProblem when it cannot be made.
        """
        base = choice.cache or archive.absolute().parent
        prefix = f"{archive.absolute().name[:100]}.cache-"
        try:
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A folder that was kept on request has no owner's mark.
            remove_orphans((one for one in base.iterdir() if _NAME.fullmatch(one.name)), _OWNER)
            cache = cls.make(base, prefix, _OWNER)
        except OSError as error:
            raise EnvironmentProblem(
                f"{base}: nothing can be unpacked here: {error.strerror}",
                advice="name another folder with --cache DIR",
            ) from error
        cache.keep = choice.keep_cache
        return cache

    @property
    def room(self) -> int:
        """Return the bytes that are free on its disk."""
        return shutil.disk_usage(self.path).free

    def refuse(self, archive: str, needed: int, *, or_more: bool) -> DiskFull:
        """Return the error of an archive that does not fit."""
        least = "more than " if or_more else ""
        return DiskFull(
            f"no room to unpack {archive} in {self.path.parent}: {least}{mib(needed)}"
            f" are needed, {mib(self.room)} are free",
            advice="name a folder with more room: --cache DIR",
        )

    def close(self) -> None:
        """Remove the folder unless it is kept; what cannot be removed is left to a later run."""
        if not self.keep:
            super().close()
            return
        with suppress(OSError):
            (self.path / _OWNER).unlink()
        self.disown()


class CachedContent(FolderContent):
    """The unpacked blobs of an archive, to read."""

    def __init__(self, cache: Cache, name: str) -> None:
        super().__init__(cache.path, name=name, writing=False)
        self._cache = cache

    def close(self) -> None:
        """Close the content, and remove the folder unless it is to be kept."""
        super().close()
        self._cache.close()
