"""`image-tools archive export` and `archive merge`: from archives into another archive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from image_tools.cli.options import Page, changed, group, narrowed, note, operand, switch
from image_tools.cli.run_options import (
    EXIT_CODES,
    RESULT_NAMES,
    WAIT_FOR_ARCHIVE,
    ArchiveCopyOptions,
    NewArchiveOptions,
    OutOfArchiveOptions,
    ToolOptions,
)
from image_tools.cli.shared_options import (
    FOREIGN_NAMES,
    FOREIGN_TITLE,
    PLATFORM_NAMES,
    CacheOptions,
    PlatformOptions,
    ResultOptions,
)
from image_tools.errors import UsageError

if TYPE_CHECKING:
    from image_tools.cli.list_runs import ListSetting
    from image_tools.commands.archives import ArchiveDestination
    from image_tools.report import Report

_NEW = "compress part part-size replace yes"
_RUNNING = "jobs wait-lock no-ahead no-download"


class ArchiveMergeOptions(
    NewArchiveOptions, CacheOptions, PlatformOptions, ToolOptions, ResultOptions
):
    """The options of `archive merge`."""

    archives: tuple[str, ...] = operand("FILE", "the archives, in order", several=True)
    output: str = changed(ArchiveCopyOptions, "destination", short="o")
    allow_empty: bool = switch("accept archives without images")
    arch: tuple[str, ...] = changed(OutOfArchiveOptions, "arch")
    os: tuple[str, ...] = changed(OutOfArchiveOptions, "os")
    wait_lock: float | None = changed(ToolOptions, "wait_lock", help=WAIT_FOR_ARCHIVE)


def archive_export(options: ArchiveCopyOptions, environ: Mapping[str, str]) -> int:
    """Copy images from one archive into another; return the exit code."""
    from loguru import logger

    from image_tools.cli.archive_choice import chosen_archive, may_begin
    from image_tools.cli.archive_runs import exporting, run_out_of_archive

    choice = chosen_archive(options)
    setting = exporting(options, environ, Path(options.source), choice, ARCHIVE_EXPORT.name)
    if not may_begin(choice, options):
        logger.warning("nothing was copied")
        return 1
    return run_out_of_archive(setting, options)


def archive_merge(options: ArchiveMergeOptions, environ: Mapping[str, str]) -> int:
    """Copy all images of several archives into one; return the exit code."""
    from loguru import logger

    from image_tools.cli.archive_choice import chosen_archive, may_begin
    from image_tools.cli.archive_runs import exporting
    from image_tools.cli.listing import no_images
    from image_tools.report import joined
    from image_tools.stores.archive.opening import check_archive

    # Each archive is copied as `archive export` does it; one without images is an error only
    # where all are.
    each = narrowed(
        ArchiveCopyOptions,
        options,
        source="",
        destination=options.output,
        failed="",
        allow_empty=True,
    )
    choice, paths = chosen_archive(each), [Path(name) for name in options.archives]
    for path in paths:
        # Nothing is begun that a wrong name would end in the middle.
        check_archive(path)
        if path.absolute() == choice.path.absolute():
            raise UsageError(f"{path} cannot be merged into itself")
    setting = exporting(each, environ, paths[0], choice, ARCHIVE_MERGE.name)
    if not may_begin(choice, each):
        logger.warning("nothing was copied")
        return 1
    reports = list(_copies(setting, each, choice, paths))
    whole = joined(ARCHIVE_MERGE.name, reports)
    if not whole.outcomes and whole.interrupted_by is None and not options.allow_empty:
        raise no_images("the archives have")
    return setting.results.show(whole)


def _copies(
    setting: ListSetting,
    options: ArchiveCopyOptions,
    choice: ArchiveDestination,
    paths: Sequence[Path],
) -> Iterator[Report]:
    """Copy all images of each archive in `paths`; yield a report for each, until interrupted."""
    from image_tools.cli.archive_runs import report_out_of_archive
    from image_tools.cli.reaching import foreign_of
    from image_tools.commands.archives import ArchiveSource
    from image_tools.stores.archive.others.image_names import NameAsked

    foreign = foreign_of(options, lenient=False)
    for path in paths:
        source = ArchiveSource(path=path, foreign=foreign)
        request = replace(setting.request, source=source, destination=choice)
        try:
            report = report_out_of_archive(replace(setting, request=request), options)
        except NameAsked as error:
            error.advice = f"name it first: image-tools archive export -s {path} --name …"
            raise
        yield report
        if report.interrupted_by is not None:
            return
        # Only the first archive replaces what was there.
        choice = replace(choice, replace=False)


ARCHIVE_EXPORT = Page(
    name="archive export",
    kind=ArchiveCopyOptions,
    run=archive_export,
    summary="copy images from one archive into another",
    about="Copy the images of a list, or all, from one archive into another one: a new one, or one "
    "that is there. Nothing is fetched from a registry.",
    groups=(
        group(
            "The archives",
            ArchiveCopyOptions,
            f"source destination {_NEW} file skip-invalid allow-empty",
        ),
        group("What to copy", ArchiveCopyOptions, PLATFORM_NAMES),
        group(FOREIGN_TITLE, ArchiveCopyOptions, FOREIGN_NAMES),
        group("Running", ArchiveCopyOptions, _RUNNING),
        group("Output", ArchiveCopyOptions, RESULT_NAMES),
    ),
    notes=(
        note("Examples", "image-tools archive export -f list.txt -s images.tar.gz -d some.tar.gz"),
        EXIT_CODES,
    ),
)

ARCHIVE_MERGE = Page(
    name="archive merge",
    kind=ArchiveMergeOptions,
    run=archive_merge,
    summary="put several archives together",
    about="Copy all images of several archives into one. Where two have the same tag, its "
    "platforms are put together, and those of the later archive count.",
    groups=(
        group("The archive", ArchiveMergeOptions, f"output {_NEW} allow-empty"),
        group("What to copy", ArchiveMergeOptions, PLATFORM_NAMES),
        group(FOREIGN_TITLE, ArchiveMergeOptions, "cache keep-cache"),
        group("Running", ArchiveMergeOptions, _RUNNING),
        group("Output", ArchiveMergeOptions, RESULT_NAMES.removeprefix("failed ")),
    ),
    notes=(
        note("Examples", "image-tools archive merge monday.tar.gz friday.tar.gz -o week.tar.gz"),
        EXIT_CODES,
    ),
)
