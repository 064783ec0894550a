"""`image-tools load-validate`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from image_tools.cli.archive_runs import loading, run_out_of_archive
from image_tools.cli.depth import wished_depth
from image_tools.commands.load import LoadValidateRun
from image_tools.commands.validate import at_depth


def load_validate(options: Namespace, environ: Mapping[str, str]) -> int:
    """Compare an archive with what is in the registry; the exit code."""
    # Nothing is ever written: the failed list is wanted all the same.
    options.dry_run = False
    wish = wished_depth(options)
    kind = at_depth(wish, LoadValidateRun)
    return run_out_of_archive(loading(options, environ), options, kind)
