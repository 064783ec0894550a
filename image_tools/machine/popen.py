"""Opening a child by plumbum: imported with the first child, for most runs start none."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

# plumbum reads the whole of it at its import, and for the processor Python would run `uname -p`:
# the first of that name on PATH, with our environment.
vars(platform.uname())["processor"] = ""

from plumbum import local  # noqa: E402
from plumbum.path.local import LocalPath  # noqa: E402


def opened(argv: tuple[str, ...], environment: Mapping[str, str], fed: bool) -> Any:
    """The started process, two pipes at its outputs and, when `fed`, one at its input.

    OSError when it cannot be started.
    """
    # plumbum lays every child's environment over a snapshot of ours, taken at its import, passwords
    # included. Emptied, the snapshot adds nothing: a child has what its caller hands over, no more.
    # Each time, for who asks plumbum for a copy of it puts the working folder in as PATH.
    local.env.clear()
    # `local[path]` with a LocalPath looks nothing up, and swaps no os.environ to expand a tilde.
    command = local[LocalPath(argv[0])]
    # -1 and -3 are PIPE and DEVNULL; unbuffered, because closing a buffered pipe blocks while
    # somebody reads from it; cwd "." also works where the folder was deleted.
    return command.popen(
        argv[1:],
        stdin=-1 if fed else -3,
        bufsize=0,
        cwd=".",
        env=dict(environment),
        new_session=True,
    )
