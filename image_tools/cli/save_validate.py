"""`image-tools save-validate`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from image_tools.cli.archive_choice import chosen_archive
from image_tools.cli.archive_runs import saving
from image_tools.cli.depth import wished_depth
from image_tools.cli.list_command import validating
from image_tools.cli.list_runs import run_list


def save_validate(options: Namespace, environ: Mapping[str, str]) -> int:
    """Compare what the options ask for with what the archive holds; the exit code."""
    # Nothing is ever written: the failed list is wanted all the same.
    options.dry_run = options.replace = options.repair = False
    setting = saving(options, environ, chosen_archive(options), "save-validate")
    return run_list(validating(setting, wished_depth(options)), options)
