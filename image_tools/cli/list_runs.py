"""A run over an image list, or over lines as they are typed: from options to an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from loguru import logger

from image_tools.cli import logs, values
from image_tools.cli.interactive import TypedSession, asking, converse
from image_tools.cli.listing import accept_empty, read_images, reading_of
from image_tools.cli.progress import Display, wanted
from image_tools.cli.redact import add_secret, clean
from image_tools.cli.request import chosen_registries, list_request, report_file
from image_tools.cli.results import Results, standard_width
from image_tools.cli.run_options import ListRunOptions, MirrorOptions
from image_tools.cli.shared_options import ResultOptions
from image_tools.cli.text import coloured, counted, is_terminal
from image_tools.commands.list_run import ListRun
from image_tools.commands.request import AS_THE_LIST_SAYS, ListRequest
from image_tools.commands.wiring import Surroundings
from image_tools.errors import ImageToolsError
from image_tools.imagelist.entry import ImageList
from image_tools.imagelist.line import resolve
from image_tools.imagelist.origin import STANDARD_INPUT
from image_tools.imagelist.reader import Resolve
from image_tools.imagelist.registries import Registries
from image_tools.machine.signals import listening, signals_raised
from image_tools.report import DryRunPlan, Report, joined
from image_tools.run.failed_list import FailedList, lines_of, origin_of, same_file
from image_tools.run.progress import Progress
from image_tools.run.validation import Validation
from image_tools.state import default_state_path

_STOPPING = "Stopping: what runs is ended, what is done stays. Ctrl-C again ends at once."


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSetting:
    """The values that one run works with.

    `resolved` turns a line of the list into source and destination. `place` is the destination in
    messages. `content` is the list if it was read already.
    """

    request: ListRequest
    registries: Registries
    progress: Progress
    display: Display
    results: Results
    environ: Mapping[str, str]
    resolved: Resolve = resolve
    place: str = ""
    content: bytes | None = None


def setting_of(options: MirrorOptions, environ: Mapping[str, str], command: str) -> ListSetting:
    """Return the setting that the options ask for, and configure the log for it."""
    registries = chosen_registries(options, environ)
    request = list_request(options, registries, environ, command)
    request = replace(request, goes_to=_goes_to(registries))
    if options.file is None:
        request = replace(request, options=replace(request.options, jobs=1))
    results = Results(
        as_json=options.format == "json",
        quiet=options.quiet,
        all_rows=options.all_rows,
        width=standard_width(environ),
        report=report_file(options),
    )
    progress = Progress()
    display = Display(progress, sys.stderr, moving=wanted(sys.stderr, environ, quiet=options.quiet))
    logs.configure(
        display.write,
        level=_level(options),
        colours=coloured(sys.stderr, environ),
        numbered=request.options.jobs > 1,
    )
    return ListSetting(
        request=request,
        registries=registries,
        progress=progress,
        display=display,
        results=results,
        environ=environ,
    )


def validating(setting: ListSetting, validation: Validation) -> ListSetting:
    """Return `setting` for a run that compares and writes nothing."""
    return replace(setting, request=replace(setting.request, validation=validation))


def _goes_to(registries: Registries) -> str:
    """Return the destination of a run as its failed list names it."""
    named = _named(registries) or AS_THE_LIST_SAYS
    project = registries.destination_project
    return f"{named}, project {project}" if project else named


def _named(registries: Registries) -> str:
    return "/".join(filter(None, (registries.destination, registries.destination_prefix)))


def _level(options: ResultOptions) -> str:
    if options.debug:
        return "DEBUG"
    return "WARNING" if options.quiet else "INFO"


@contextmanager
def opened(setting: ListSetting) -> Iterator[ListRun]:
    """Yield the run that the setting asks for, and close what it opened at the end."""
    surroundings = Surroundings(
        environ=setting.environ,
        progress=setting.progress,
        on_secret=add_secret,
        clean=clean,
        ask=asking(setting.environ, setting.display),
    )
    with signals_raised(), ListRun(setting.request, surroundings) as run:
        yield run


@contextmanager
def watched(run: ListRun, display: Display) -> Iterator[None]:
    """Show the display and let signals end the run: the first in order, the second at once."""

    def stop(signal_number: int) -> None:
        display.call_out(_STOPPING)
        run.cancel(signal_number)

    def leave(signal_number: int) -> None:
        display.give_back()
        run.abandon(signal_number)

    with display, listening(stop, leave):
        yield


def listed(setting: ListSetting, options: ListRunOptions) -> ImageList:
    """Return the list that the options name.

    Raise InvalidList when it is empty without --allow-empty.
    """
    assert options.file is not None
    reading = replace(reading_of(options, resolved=setting.resolved), content=setting.content)
    return read_images(options.file, setting.registries, reading)


def carried_out(run: ListRun, images: ImageList) -> Report | DryRunPlan:
    """Return the report of `images`, or the plan of a dry run."""
    return run.plan(images) if run.request.options.dry_run else run.run(images)


def shown(setting: ListSetting, result: Report | DryRunPlan) -> int:
    """Show `result` and return the exit code."""
    if isinstance(result, Report):
        return setting.results.show(result)
    return setting.results.show_plan(setting.request.command, result)


def nothing_to_do(setting: ListSetting, images: ImageList, list_file: Path) -> int:
    """Return the exit code of a run over a list that may be empty, and is."""
    request, unwritten = setting.request, False
    if request.failed is not None and not same_file(request.failed, list_file):
        origin = origin_of(images, request.goes_to)
        failed = FailedList(request.failed, images.name, origin, lines_of(images))
        unwritten = not failed.finish(())
    return setting.results.show(Report(command=request.command, outcomes=(), unwritten=unwritten))


def say_jobs(wished: int) -> None:
    """Warn when the number of jobs is out of range."""
    used = values.jobs_in_range(wished)
    if used != wished:
        logger.warning("--jobs {} is out of range, {} is used", wished, used)


def say_begin(setting: ListSetting, images: ImageList) -> None:
    """Log what list goes where."""
    logger.info(
        "{}: {}, {} at a time, to {}",
        images.name,
        counted(len(images.entries), "image"),
        setting.request.options.jobs,
        setting.place or _named(setting.registries) or "the destinations of the list",
    )


def run_list(setting: ListSetting, options: ListRunOptions) -> int:
    """Run over the list that the options name, or over typed lines; return the exit code."""
    if options.file is None:
        return _typed(setting, options)
    say_jobs(options.jobs)
    images = listed(setting, options)
    if not images.entries and not images.problems:
        return nothing_to_do(setting, images, Path(options.file))
    say_begin(setting, images)
    with opened(setting) as run, watched(run, setting.display):
        result = carried_out(run, images)
    return shown(setting, result)


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
            # A broken pipe looks the same. At a terminal the person saw that nothing was done.
            accept_empty(STANDARD_INPUT, allowed=options.allow_empty)
    except ImageToolsError:
        # Earlier lines are done. A JSON document would look like a run that ended well.
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
