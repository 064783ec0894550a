"""`image-tools load-validate`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from image_tools.cli.archive_runs import loading, run_out_of_archive
from image_tools.cli.depth import wished_depth
from image_tools.cli.list_command import validating


def load_validate(options: Namespace, environ: Mapping[str, str]) -> int:
    """Compare an archive with what is in the registry; the exit code."""
    # Nothing is ever written: the failed list is wanted all the same.
    options.dry_run = False
    validation = wished_depth(options)
    setting = loading(options, environ, "load-validate")
    return run_out_of_archive(validating(setting, validation), options)
