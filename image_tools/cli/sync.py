"""`image-tools sync`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from image_tools.cli.archive_choice import existing_archive
from image_tools.cli.archive_runs import saving
from image_tools.cli.list_runs import run_list


def sync(options: Namespace, environ: Mapping[str, str]) -> int:
    """Add what the options ask for to an archive that is there; the exit code."""
    setting = saving(options, environ, existing_archive(options.destination), "sync")
    return run_list(setting, options)
