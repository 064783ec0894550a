"""`image-tools load`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from image_tools.cli.archive_runs import loading, plan_out_of_archive, run_out_of_archive
from image_tools.commands.load import LoadRun


def load(options: Namespace, environ: Mapping[str, str]) -> int:
    """Load what the options ask for; the exit code."""
    setting = loading(options, environ)
    if options.dry_run:
        return plan_out_of_archive(setting, options, LoadRun)
    return run_out_of_archive(setting, options, LoadRun)
