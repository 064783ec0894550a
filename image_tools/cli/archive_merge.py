"""`image-tools archive merge`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from loguru import logger

from image_tools.cli.archive_choice import chosen_archive, may_begin
from image_tools.cli.archive_runs import exporting, report_out_of_archive
from image_tools.cli.foreign import foreign_of
from image_tools.cli.listing import no_images
from image_tools.commands.ends import ArchiveSource
from image_tools.errors import UsageError
from image_tools.report import Report, joined
from image_tools.stores.archive.opening import check_archive
from image_tools.stores.archive.others.image_names import NameAsked

_COMMAND = "archive merge"


def archive_merge(options: Namespace, environ: Mapping[str, str]) -> int:
    """Put archives together; the exit code."""
    options = Namespace(
        **vars(options),
        destination=options.output,
        file=None,
        skip_invalid=False,
        name=None,
        failed=None,
    )
    choice, paths = chosen_archive(options), [Path(name) for name in options.archives]
    for path in paths:
        # Nothing is begun that a wrong name would end in the middle.
        check_archive(path)
        if path.absolute() == choice.path.absolute():
            raise UsageError(f"{path} cannot be merged into itself")
    setting = exporting(options, environ, paths[0], choice, _COMMAND)
    if not may_begin(choice, options):
        logger.warning("nothing was copied")
        return 1
    foreign = foreign_of(options)
    reports: list[Report] = []
    each = Namespace(**{**vars(options), "allow_empty": True})
    for path in paths:
        source = ArchiveSource(path=path, foreign=foreign)
        request = replace(setting.request, source=source, destination=choice)
        one = replace(setting, request=request)
        try:
            reports.append(report_out_of_archive(one, each))
        except NameAsked as error:
            error.advice = f"name it first: image-tools archive export -s {path} --name …"
            raise
        if reports[-1].interrupted_by is not None:
            break
        choice = replace(choice, replace=False)
    whole = joined(_COMMAND, reports)
    if not whole.outcomes and whole.interrupted_by is None and not options.allow_empty:
        raise no_images("the archives have")
    return setting.results.show(whole)
