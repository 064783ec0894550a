"""`image-tools save`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace

from loguru import logger

from image_tools.cli.archive_choice import chosen_archive, may_begin, repaired_archive
from image_tools.cli.archive_runs import saving
from image_tools.cli.list_runs import run_list


def save(options: Namespace, environ: Mapping[str, str]) -> int:
    """Save what the options ask for; the exit code, 1 too where something may not be replaced."""
    choice = chosen_archive(options)
    if options.repair:
        choice = repaired_archive(choice, options)
        setting = saving(options, environ, choice, "save")
        request = setting.request
        request = replace(request, options=replace(request.options, force=True))
        return run_list(replace(setting, request=request), options)
    setting = saving(options, environ, choice, "save")
    if not may_begin(choice, options):
        logger.warning("nothing was saved")
        return 1
    return run_list(setting, options)
