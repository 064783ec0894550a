"""`image-tools mirror-validate`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from image_tools.cli.depth import wished_depth
from image_tools.cli.list_command import setting_of, validating
from image_tools.cli.list_runs import run_list


def mirror_validate(options: Namespace, environ: Mapping[str, str]) -> int:
    """Compare what the options ask for with what is there; the exit code."""
    # Nothing is ever written: the failed list is wanted all the same.
    options.dry_run = False
    validation = wished_depth(options)
    setting = setting_of(options, environ, "mirror-validate")
    return run_list(validating(setting, validation), options)
