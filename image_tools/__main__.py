"""The program's door: the only place that ends the process."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import NoReturn

from image_tools.cli.app import main


def run() -> NoReturn:
    """Run the command line of this process and end with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character gets a question mark, not a traceback.
            stream.reconfigure(errors="replace")
    sys.exit(main())


if __name__ == "__main__":
    run()
