"""A whole list, or lines as they are typed: both ways through one run."""

from __future__ import annotations

import sys
from pathlib import Path

from loguru import logger

from image_tools.cli.interactive import TypedSession, converse
from image_tools.cli.list_command import (
    ListSetting,
    carried_out,
    listed,
    nothing_to_do,
    opened,
    say_begin,
    say_jobs,
    shown,
    watched,
)
from image_tools.cli.listing import accept_empty
from image_tools.cli.run_options import ListRunOptions
from image_tools.cli.text import is_terminal
from image_tools.commands.list_run import ListRun
from image_tools.errors import ImageToolsError
from image_tools.imagelist.entry import ImageList
from image_tools.imagelist.origin import STANDARD_INPUT
from image_tools.report import Report, joined
from image_tools.state import default_state_path


def run_list(setting: ListSetting, options: ListRunOptions) -> int:
    """The exit code of a run over the list the options name, or over typed lines."""
    if options.file is None:
        return _typed(setting, options)
    images = whole_list(setting, options)
    if not images.entries and not images.problems:
        return nothing_to_do(setting, images, Path(options.file))
    with opened(setting) as run, watched(run, setting.display):
        result = carried_out(run, images)
    return shown(setting, result)


def whole_list(setting: ListSetting, options: ListRunOptions) -> ImageList:
    """The list the options name; what is corrected and what begins is said."""
    say_jobs(options.jobs)
    images = listed(setting, options)
    if images.entries or images.problems:
        say_begin(setting, images)
    return images


def _typed(setting: ListSetting, options: ListRunOptions) -> int:
    if options.jobs != 1:
        logger.warning(
            "lines that come one by one are worked on one by one: 1 job is used, not {}",
            options.jobs,
        )
    reports: list[Report] = []
    try:
        with opened(setting) as run:
            converse(_session(setting, run, skip_invalid=options.skip_invalid), reports)
        if not is_terminal(sys.stdin) and not any(
            one.outcomes or one.interrupted_by for one in reports
        ):
            # A broken pipe leaves nothing behind, too. At a terminal somebody has seen it.
            accept_empty(STANDARD_INPUT, allowed=options.allow_empty)
    except ImageToolsError:
        # The lines before are done all the same. A JSON document would claim a good end.
        if reports and not setting.results.as_json:
            setting.results.show(joined(setting.request.command, reports), typed=True)
        raise
    return setting.results.show(joined(setting.request.command, reports), typed=True)


def _session(setting: ListSetting, run: ListRun, *, skip_invalid: bool) -> TypedSession:
    def mirror_watched(images: ImageList) -> Report:
        with watched(run, setting.display):
            return run.run(images)

    return TypedSession(
        mirror=mirror_watched,
        registries=setting.registries,
        results=setting.results,
        history=default_state_path(setting.environ).with_name("history"),
        skip_invalid=skip_invalid,
    )
