"""`image-tools mirror`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from image_tools.cli.list_command import setting_of
from image_tools.cli.list_runs import run_list
from image_tools.errors import UsageError


def mirror(options: Namespace, environ: Mapping[str, str]) -> int:
    """Mirror what the options ask for; the exit code.

    ImageToolsError for what stops the whole run; a failed image is only part of the report.
    """
    if options.file is None and options.dry_run:
        raise UsageError("--dry-run needs a whole list", advice="give it with -f FILE or -f -")
    return run_list(setting_of(options, environ, "mirror"), options)
