"""`image-tools archive inventory`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from image_tools.cli.inventory import write_inventory
from image_tools.cli.reaching import start_logs
from image_tools.commands.inventory import archive_inventory as taken


def archive_inventory(options: Namespace, environ: Mapping[str, str]) -> int:
    """Write down what an archive holds; 0."""
    start_logs(options, environ)
    write_inventory(taken(Path(options.archive)), options.output)
    return 0
