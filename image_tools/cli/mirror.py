"""`image-tools mirror`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from image_tools.cli.list_command import Setting, nothing_to_do, opened, setting_of, watched
from image_tools.cli.list_runs import run_list, whole_list
from image_tools.commands.mirror import MirrorRun
from image_tools.errors import UsageError


def mirror(options: Namespace, environ: Mapping[str, str]) -> int:
    """Mirror what the options ask for; the exit code.

    ImageToolsError for what stops the whole run; a failed image is only part of the report.
    """
    if options.file is None and options.dry_run:
        raise UsageError("--dry-run needs a whole list", advice="give it with -f FILE or -f -")
    setting = setting_of(options, environ)
    if options.dry_run:
        return _planned(setting, options)
    return run_list(setting, options, MirrorRun)


def _planned(setting: Setting, options: Namespace) -> int:
    images = whole_list(setting, options)
    if not images.entries and not images.problems:
        return nothing_to_do(setting, images, Path(options.file), MirrorRun.command)
    with opened(setting, MirrorRun) as run, watched(run, setting.display):
        rows = run.plan(images)
    return setting.results.show_plan(rows)
