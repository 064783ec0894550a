"""`image-tools archive export`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from loguru import logger

from image_tools.cli.archive_choice import chosen_archive, may_begin
from image_tools.cli.archive_runs import exporting, run_out_of_archive


def archive_export(options: Namespace, environ: Mapping[str, str]) -> int:
    """Copy what the options ask for from archive to archive; the exit code."""
    choice = chosen_archive(options)
    setting = exporting(options, environ, Path(options.source), choice, "archive export")
    if not may_begin(choice, options):
        logger.warning("nothing was copied")
        return 1
    return run_out_of_archive(setting, options)
