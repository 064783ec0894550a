"""`image-tools mirror-validate`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from image_tools.cli.depth import wished_depth
from image_tools.cli.list_command import setting_of
from image_tools.cli.list_runs import run_list
from image_tools.commands.validate import ValidateRun, at_depth


def mirror_validate(options: Namespace, environ: Mapping[str, str]) -> int:
    """Compare what the options ask for with what is there; the exit code."""
    # Nothing is ever written: the failed list is wanted all the same.
    options.dry_run = False
    wish = wished_depth(options)
    return run_list(setting_of(options, environ), options, at_depth(wish, ValidateRun))
