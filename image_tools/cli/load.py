"""`image-tools load`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from image_tools.cli.archive_runs import loading, run_out_of_archive


def load(options: Namespace, environ: Mapping[str, str]) -> int:
    """Load what the options ask for; the exit code."""
    return run_out_of_archive(loading(options, environ, "load"), options)
