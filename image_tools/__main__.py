"""Run the command line and end the process: the only place that does."""

from __future__ import annotations

import gc
import os
import sys
from io import TextIOWrapper
from typing import NoReturn

from image_tools.cli.app import main


def run() -> NoReturn:
    """Run the command line of this process and end with its exit code."""
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character gets a question mark, not a traceback.
            stream.reconfigure(errors="replace")
    code = main()
    # The interpreter looks for garbage once more before it ends: 50 ms, for nothing.
    gc.freeze()
    sys.exit(code)


def _open_missing_streams() -> None:
    # Started with one of them closed (2>&-), the next file we open would take its number.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123


if __name__ == "__main__":
    run()
