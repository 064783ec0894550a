"""Start a child with plumbum. Imported with the first child, because most runs start none."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

# plumbum reads all of platform.uname() when it is imported, and for the processor Python would run
# `uname -p`: the first of that name on PATH, with our environment.
vars(platform.uname())["processor"] = ""

from plumbum import local  # noqa: E402
from plumbum.path.local import LocalPath  # noqa: E402


def opened(argv: tuple[str, ...], environment: Mapping[str, str], fed: bool) -> Any:
    """Return the started process, with pipes at its outputs and, when `fed`, at its input.

    Raise OSError when it cannot be started.
    """
    # plumbum adds every child's environment to a snapshot of ours, taken at its import, with all
    # passwords. The empty snapshot adds nothing: a child has what its caller hands over, no more.
    # It is emptied each time, because copying it puts the working folder into PATH.
    local.env.clear()
    # A LocalPath is not looked up on PATH, and os.environ is not swapped to expand a tilde.
    command = local[LocalPath(argv[0])]
    # -1 and -3 are PIPE and DEVNULL; unbuffered, because closing a buffered pipe blocks while
    # another thread reads from it; cwd "." also works where the folder was deleted.
    return command.popen(
        argv[1:],
        stdin=-1 if fed else -3,
        bufsize=0,
        cwd=".",
        env=dict(environment),
        new_session=True,
    )
