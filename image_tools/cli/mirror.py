"""`image-tools mirror`: from its options to its exit code."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from loguru import logger

from image_tools.cli import logs, values
from image_tools.cli.ending import endings_raised
from image_tools.cli.interactive import Session, converse
from image_tools.cli.listing import read_images
from image_tools.cli.progress import Display, wanted
from image_tools.cli.redact import add_secret, clean
from image_tools.cli.request import chosen_registries, mirror_request, report_file
from image_tools.cli.results import Results, standard_width
from image_tools.cli.text import coloured
from image_tools.commands.mirror import MirrorRun
from image_tools.commands.request import MirrorRequest
from image_tools.errors import ImageToolsError, UsageError
from image_tools.imagelist.entry import ImageList
from image_tools.imagelist.registries import Registries
from image_tools.report import Report, joined
from image_tools.run.failed_list import FailedList
from image_tools.run.progress import Progress
from image_tools.run.signals import listening
from image_tools.state import default_state_path

_STOPPING = "Stopping: what runs is ended, what is done stays. Ctrl-C again ends at once."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """What one `mirror` works with, whether its list is a file or is typed."""

    request: MirrorRequest
    registries: Registries
    progress: Progress
    display: Display
    results: Results
    environ: Mapping[str, str]


def mirror(options: Namespace, environ: Mapping[str, str]) -> int:
    """Mirror what the options ask for; the exit code.

    ImageToolsError for what stops the whole run; a failed image is only part of the report.
    """
    if options.file is None and options.dry_run:
        raise UsageError("--dry-run needs a whole list", advice="give it with -f FILE or -f -")
    setting = _setting(options, environ)
    if options.file is None:
        return _typed(setting, options)
    return _listed(setting, options)


def _setting(options: Namespace, environ: Mapping[str, str]) -> _Setting:
    registries = chosen_registries(options, environ)
    request = mirror_request(options, registries, environ)
    if options.file is None:
        request = replace(request, jobs=1)
    results = Results(
        as_json=options.format == "json",
        quiet=options.quiet,
        all_rows=options.all_rows,
        width=standard_width(environ),
        report=report_file(options),
        failed=request.failed,
    )
    progress = Progress()
    display = Display(progress, sys.stderr, moving=wanted(sys.stderr, environ, quiet=options.quiet))
    logs.configure(
        display.write,
        level=_level(options),
        colours=coloured(sys.stderr, environ),
        numbered=request.jobs > 1,
    )
    return _Setting(
        request=request,
        registries=registries,
        progress=progress,
        display=display,
        results=results,
        environ=environ,
    )


def _level(options: Namespace) -> str:
    if options.debug:
        return "DEBUG"
    return "WARNING" if options.quiet else "INFO"


def _listed(setting: _Setting, options: Namespace) -> int:
    _say_jobs(options.jobs)
    images = read_images(options.file, setting.registries, skip_invalid=options.skip_invalid)
    if not images.entries and not images.problems:
        return _nothing(setting, images, Path(options.file))
    _say_begin(setting, images)
    with _opened(setting) as run:
        if options.dry_run:
            with _watched(run, setting.display):
                rows = run.plan(images)
            return setting.results.show_plan(rows)
        with _watched(run, setting.display):
            report = run.mirror(images)
    return setting.results.show(report)


def _nothing(setting: _Setting, images: ImageList, list_file: Path) -> int:
    logger.warning("{} names no image", images.name)
    failed = setting.request.failed
    if failed is not None and not _same_file(failed, list_file):
        FailedList(failed, images.name).finish(())
    return setting.results.show(Report(command="mirror", outcomes=()))


def _same_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _typed(setting: _Setting, options: Namespace) -> int:
    if options.jobs != 1:
        logger.warning(
            "lines that come one by one are mirrored one by one: 1 job is used, not {}",
            options.jobs,
        )
    reports: list[Report] = []
    try:
        with _opened(setting) as run:
            converse(_session(setting, run, skip_invalid=options.skip_invalid), reports)
    except ImageToolsError:
        # The lines before are done all the same. A JSON document would claim a good end.
        if reports and not setting.results.as_json:
            setting.results.show(joined("mirror", reports), typed=True)
        raise
    return setting.results.show(joined("mirror", reports), typed=True)


def _session(setting: _Setting, run: MirrorRun, *, skip_invalid: bool) -> Session:
    def mirror_watched(images: ImageList) -> Report:
        with _watched(run, setting.display):
            return run.mirror(images)

    return Session(
        mirror=mirror_watched,
        registries=setting.registries,
        results=setting.results,
        history=default_state_path(setting.environ).with_name("history"),
        skip_invalid=skip_invalid,
    )


@contextmanager
def _opened(setting: _Setting) -> Iterator[MirrorRun]:
    run = MirrorRun(
        setting.request, setting.progress, setting.environ, on_secret=add_secret, clean=clean
    )
    with endings_raised(), run:
        yield run


@contextmanager
def _watched(run: MirrorRun, display: Display) -> Iterator[None]:
    """Inside, the display moves and signals end the run: the first softly, the second at once."""

    def stop(signal_number: int) -> None:
        display.call_out(_STOPPING)
        run.cancel(signal_number)

    def leave(signal_number: int) -> None:
        display.give_back()
        run.abandon(signal_number)

    with display, listening(stop, leave):
        yield


def _say_jobs(wished: int) -> None:
    used = values.jobs_in_range(wished)
    if used != wished:
        logger.warning("--jobs {} is out of range, {} is used", wished, used)


def _say_begin(setting: _Setting, images: ImageList) -> None:
    count = len(images.entries)
    registries = setting.registries
    place = "/".join(filter(None, (registries.destination, registries.destination_prefix)))
    logger.info(
        "{}: {} image{}, {} at a time, to {}",
        images.name,
        count,
        "" if count == 1 else "s",
        setting.request.jobs,
        place or "the destinations of the list",
    )
