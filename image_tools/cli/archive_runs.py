"""Runs with an archive at one end, from their options to their exit code."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from image_tools.cli.archive_choice import base_of
from image_tools.cli.list_runs import (
    ListSetting,
    carried_out,
    listed,
    nothing_to_do,
    opened,
    say_begin,
    say_jobs,
    setting_of,
    shown,
    watched,
)
from image_tools.cli.listing import accept_empty_archive, list_content, said_problems
from image_tools.cli.options import narrowed
from image_tools.cli.reaching import foreign_of
from image_tools.cli.run_options import (
    ArchiveCopyOptions,
    LoadOptions,
    MirrorOptions,
    OutOfArchiveOptions,
    PullIntoArchiveOptions,
)
from image_tools.commands.archives import ArchiveDestination, ArchiveSource
from image_tools.commands.list_run import ListRun
from image_tools.commands.request import ListRequest
from image_tools.errors import InvalidReference, UsageError
from image_tools.imagelist.entry import ImageList
from image_tools.imagelist.line import into_archive, out_of_archive
from image_tools.imagelist.reader import read_list
from image_tools.oci.reference import Reference, parse_registry
from image_tools.report import Report

_OF_SOURCES = ("SOURCE_REGISTRY", "SOURCE_USERNAME", "SOURCE_PASSWORD")
_OF_DESTINATIONS = tuple(
    f"{side}_{what}" for side in ("DOCKER", "DEST") for what in ("REGISTRY", "USERNAME", "PASSWORD")
)


def saving(
    options: PullIntoArchiveOptions,
    environ: Mapping[str, str],
    choice: ArchiveDestination,
    command: str,
    base: str | None = None,
) -> ListSetting:
    """Return the setting of a run from registries into the archive `choice`.

    `base` is the text of --base.
    """
    wanted = narrowed(MirrorOptions, options, destination=None)
    setting = setting_of(wanted, _without(environ, _OF_DESTINATIONS), command)
    content = list_content(options.file)
    left_out = base_of(base, options, environ, content) if base else None
    request = replace(
        setting.request, destination=replace(choice, base=left_out), goes_to=_absolute(choice.path)
    )
    return replace(
        setting, request=request, resolved=into_archive, place=str(choice.path), content=content
    )


def loading(options: LoadOptions, environ: Mapping[str, str], command: str) -> ListSetting:
    """Return the setting of a run from an archive into registries."""
    path = Path(options.source)
    wanted = narrowed(
        MirrorOptions,
        options,
        source=None,
        file=options.file or str(path),
        destination_project=options.project,
    )
    setting = setting_of(wanted, _without(environ, _OF_SOURCES), command)
    if setting.registries.destination is None and options.file is None:
        raise UsageError("it is not said where to load the images: give -d REGISTRY")
    registries = replace(setting.registries, source=_source_registry(options, environ))

    def archived_to(reference: Reference) -> Reference:
        return out_of_archive([str(reference)], registries)[1]

    request = _out_of(setting.request, options, path, archived_to)
    return replace(setting, request=request, registries=registries, resolved=out_of_archive)


def exporting(
    options: ArchiveCopyOptions,
    environ: Mapping[str, str],
    source: Path,
    choice: ArchiveDestination,
    command: str,
) -> ListSetting:
    """Return the setting of a run from the archive `source` into the archive `choice`."""
    wanted = narrowed(
        MirrorOptions,
        options,
        source=None,
        destination=None,
        file=options.file or str(source),
        insecure_policy=True,  # It was applied when this was saved.
    )
    environ = _without(environ, (*_OF_SOURCES, *_OF_DESTINATIONS))
    setting = setting_of(wanted, environ, command)
    request = replace(
        _out_of(setting.request, options, source),
        destination=choice,
        goes_to=_absolute(choice.path),
    )
    return replace(setting, request=request, resolved=into_archive, place=str(choice.path))


def _out_of(
    request: ListRequest,
    options: LoadOptions | ArchiveCopyOptions,
    path: Path,
    archived_to: Callable[[Reference], Reference] | None = None,
) -> ListRequest:
    """Return `request` with the archive at `path` as its source."""
    named = bool({"arch", "os", "variant"} & {*options.given})
    wishes = request.options
    foreign = foreign_of(options, options.name, lenient=bool(options.file))
    return replace(
        request,
        source=ArchiveSource(path=path, foreign=foreign, archived_to=archived_to),
        options=replace(wishes, names_platforms=named or not wishes.selection.is_everything),
    )


def run_out_of_archive(setting: ListSetting, options: OutOfArchiveOptions) -> int:
    """Run over the archive, or over the images of a list in it; return the exit code."""
    with _begun(setting, options) as (run, images):
        is_empty = not images.entries and not images.problems
        if is_empty and not setting.request.options.dry_run:
            return nothing_to_do(setting, images, Path(images.name))
        result = carried_out(run, images)
    return shown(setting, result)


def report_out_of_archive(setting: ListSetting, options: OutOfArchiveOptions) -> Report:
    """Run over all of the archive, which may be empty, and return the report."""
    with _begun(setting, options) as (run, images):
        return run.run(images)


@contextmanager
def _begun(
    setting: ListSetting, options: OutOfArchiveOptions
) -> Iterator[tuple[ListRun, ImageList]]:
    say_jobs(options.jobs)
    of_file = listed(setting, options) if options.file else None
    with opened(setting) as run:
        images = of_file or _everything(setting, run, options)
        say_begin(setting, images)
        with watched(run, setting.display):
            yield run, images


def _everything(setting: ListSetting, run: ListRun, options: OutOfArchiveOptions) -> ImageList:
    """Return a list of all images of the archive; raise UsageError when there are none."""
    lines = "".join(f"{reference}\n" for reference in run.images)
    assert isinstance(setting.request.source, ArchiveSource)
    name = str(setting.request.source.path)
    if not lines:
        accept_empty_archive(name, allowed=options.allow_empty)
    images = read_list(lines.encode(), name, setting.registries, setting.resolved)
    return said_problems(images, skip_invalid=options.skip_invalid)


def _absolute(path: Path) -> str:
    return os.path.normpath(Path.cwd() / path)


def _source_registry(options: LoadOptions, environ: Mapping[str, str]) -> str | None:
    """Return the registry that the images of a list were saved from, None if the list says so."""
    if options.file is None:
        return None
    for name, text in (
        ("--source-registry", options.source_registry),
        ("SOURCE_REGISTRY", environ.get("SOURCE_REGISTRY")),
    ):
        if text:
            try:
                return parse_registry(text)
            except InvalidReference as error:
                raise InvalidReference(f"{name}: {error}") from error
    return None


def _without(environ: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in names}
