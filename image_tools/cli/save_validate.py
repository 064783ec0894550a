"""`image-tools save-validate`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from image_tools.cli.archive_choice import chosen_archive
from image_tools.cli.archive_runs import saving
from image_tools.cli.depth import wished_depth
from image_tools.cli.list_runs import run_list
from image_tools.commands.save import SaveValidateRun
from image_tools.commands.validate import at_depth


def save_validate(options: Namespace, environ: Mapping[str, str]) -> int:
    """Compare what the options ask for with what the archive holds; the exit code."""
    # Nothing is ever written: the failed list is wanted all the same.
    options.dry_run = options.replace = options.repair = False
    setting = saving(options, environ, chosen_archive(options))
    wish = wished_depth(options)
    return run_list(setting, options, at_depth(wish, SaveValidateRun))
