"""Files and links that another user may have planted in a shared folder such as /tmp."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path

_MOST_LINKS = 40


def refuse_planted(path: Path) -> None:
    """Raise PermissionError, which names it, when another user planted a file or link at `path`.

    In a sticky folder that everyone may write to, no link of another user is followed and no file
    of theirs is written, except the folder owner's. This is the rule of Linux's
    fs.protected_symlinks and fs.protected_regular (proc_sys_fs(5)), which are not switched on
    everywhere and do not cover files that are replaced by a rename.
    """
    found = _planted(path.absolute(), _MOST_LINKS)
    if found is not None:
        said = "it belongs to another user, in a folder where everybody may write"
        raise PermissionError(errno.EACCES, said, str(found))


def trusted_search_path(environ: Mapping[str, str]) -> str:
    """Return PATH without empty and relative entries, which mean the working folder.

    A user who can write there must not choose our tools.
    """
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if Path(folder).is_absolute())


def _planted(path: Path, links_left: int) -> Path | None:
    """Return the first file or link on the way to `path`, links followed, of another user."""
    for place in (*reversed(path.parents), path):
        try:
            found = place.lstat()
            if not stat.S_ISDIR(found.st_mode) and _is_strangers(found, place.parent.stat()):
                return place
            if not stat.S_ISLNK(found.st_mode) or not links_left:
                continue
            target = place.parent / place.readlink() / path.relative_to(place)
        except OSError:
            return None  # Missing or not accessible: opening it fails with the reason.
        return _planted(target, links_left - 1)
    return None


def _is_strangers(found: os.stat_result, folder: os.stat_result) -> bool:
    shared = stat.S_ISVTX | stat.S_IWOTH
    trusted = (os.geteuid(), folder.st_uid)
    return folder.st_mode & shared == shared and found.st_uid not in trusted
