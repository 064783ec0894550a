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
    """What one run works with, whether its list is a file or is typed.

    `resolved` says what a line of the list means; `place` is where everything goes, for people;
    `content` is the list where it had to be read before.
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
    """The setting the options ask for; the log is configured with it."""
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
    """`setting` for a run that compares and writes nothing."""
    return replace(setting, request=replace(setting.request, validation=validation))


def _goes_to(registries: Registries) -> str:
    """What a failed list calls the destination of a run."""
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
    """The run that the setting asks for; what it opened is closed behind the context."""
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
    """Inside, the display moves and signals end the run: the first softly, the second at once."""

    def stop(signal_number: int) -> None:
        display.call_out(_STOPPING)
        run.cancel(signal_number)

    def leave(signal_number: int) -> None:
        display.give_back()
        run.abandon(signal_number)

    with display, listening(stop, leave):
        yield


def listed(setting: ListSetting, options: ListRunOptions) -> ImageList:
    """The list the options name; InvalidList when it is empty, unless it may be."""
    assert options.file is not None
    reading = replace(reading_of(options, resolved=setting.resolved), content=setting.content)
    return read_images(options.file, setting.registries, reading)


def carried_out(run: ListRun, images: ImageList) -> Report | DryRunPlan:
    """What comes of `images`, or would in a dry run."""
    return run.plan(images) if run.request.options.dry_run else run.run(images)


def shown(setting: ListSetting, result: Report | DryRunPlan) -> int:
    """Show `result`; the exit code."""
    if isinstance(result, Report):
        return setting.results.show(result)
    return setting.results.show_plan(setting.request.command, result)


def nothing_to_do(setting: ListSetting, images: ImageList, list_file: Path) -> int:
    """The exit code of a run over a list that names no image, and may be so."""
    request, unwritten = setting.request, False
    if request.failed is not None and not same_file(request.failed, list_file):
        origin = origin_of(images, request.goes_to)
        failed = FailedList(request.failed, images.name, origin, lines_of(images))
        unwritten = not failed.finish(())
    return setting.results.show(Report(command=request.command, outcomes=(), unwritten=unwritten))


def say_jobs(wished: int) -> None:
    """Warn when the number of jobs is corrected."""
    used = values.jobs_in_range(wished)
    if used != wished:
        logger.warning("--jobs {} is out of range, {} is used", wished, used)


def say_begin(setting: ListSetting, images: ImageList) -> None:
    """Tell what list goes where."""
    logger.info(
        "{}: {}, {} at a time, to {}",
        images.name,
        counted(len(images.entries), "image"),
        setting.request.options.jobs,
        setting.place or _named(setting.registries) or "the destinations of the list",
    )


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
