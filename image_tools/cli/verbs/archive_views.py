"""`image-tools archive ls` and `archive verify`: what is in an archive, and what is damaged."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from image_tools.cli import render
from image_tools.cli.options import Page, group, note, operand, switch
from image_tools.cli.shared_options import (
    ARCHIVE,
    ARCHIVE_EXIT_CODES,
    FOREIGN_NAMES,
    FOREIGN_TITLE,
    ForeignOptions,
    FormatOptions,
)
from image_tools.cli.text import counted, human_bytes

if TYPE_CHECKING:
    from image_tools.commands.archive_ls import ArchivedImage
    from image_tools.commands.archive_verify import Verification


class ArchiveVerifyOptions(ForeignOptions, FormatOptions):
    """The options of `archive verify`."""

    archive: str = operand("FILE", ARCHIVE)


class ArchiveLsOptions(ArchiveVerifyOptions):
    """The options of `archive ls`."""

    json: bool = switch("the same as --format json")


def archive_ls(options: ArchiveLsOptions, environ: Mapping[str, str]) -> int:
    """Show what is in an archive; return 1 where a part of an image is missing."""
    from loguru import logger

    from image_tools.cli.logs import start_logs
    from image_tools.cli.reaching import foreign_of
    from image_tools.cli.results import standard_width
    from image_tools.cli.tables import DIGEST, Column, table
    from image_tools.commands.archive_ls import archive_ls as listed
    from image_tools.machine.signals import signals_raised

    start_logs(options, environ)
    with signals_raised():
        found = listed(Path(options.archive), foreign_of(options, options.name, lenient=True))
    if options.json or options.format == "json":
        render.out_json(found.to_json())
    elif found.images:
        columns = (
            Column("IMAGE", least=24),
            Column("PLATFORMS", least=12),
            Column("SIZE", right=True),
            DIGEST,
        )
        rows = [_row(image) for image in found.images]
        render.out("\n".join(table(columns, rows, standard_width(environ))))
    for image in found.images:
        if image.problem:
            logger.error("{}: {}", image.name, image.problem)
    logger.info(
        "{}: {}, {}, {}",
        options.archive,
        counted(len(found.images), "image"),
        counted(found.blobs, "blob"),
        human_bytes(found.size),
    )
    return found.exit_code


def _row(image: ArchivedImage) -> tuple[str, ...]:
    names = (str(platform).removeprefix("linux/") for platform in image.platforms)
    return image.name, ",".join(names), human_bytes(image.size), image.digest


def archive_verify(options: ArchiveVerifyOptions, environ: Mapping[str, str]) -> int:
    """Hash every blob of an archive; return 1 where one is damaged or missing."""
    from image_tools.cli.logs import start_logs
    from image_tools.cli.progress import Display, wanted
    from image_tools.cli.reaching import foreign_of
    from image_tools.commands.archive_verify import archive_verify as verified
    from image_tools.machine.signals import signals_raised
    from image_tools.run.progress import Progress

    start_logs(options, environ)
    progress = Progress()

    def show(done: int, total: int) -> None:
        progress.plan(total)
        progress.bytes_source = lambda: done

    display = Display(progress, sys.stderr, moving=wanted(sys.stderr, environ, quiet=False))
    with signals_raised(), display:
        foreign = foreign_of(options, options.name, lenient=True)
        found = verified(Path(options.archive), foreign, show)
    if options.format == "json":
        render.out_json(found.to_json())
    _say(found)
    return 1 if found.damaged or found.lost else 0


def _say(found: Verification) -> None:
    from loguru import logger

    for line in found.lost:
        logger.error("{}", line)
    for damage in found.damaged:
        where = f"; needed by {', '.join(damage.images)}" if damage.images else ""
        logger.error("{}: {}{}", damage.digest, damage.problem, where)
    for layer in found.foreign:
        logger.warning(
            "foreign layer {} is not in the archive, only at {}; part of {}",
            layer.digest,
            next(iter(layer.urls), "an unknown address"),
            ", ".join(layer.images),
        )
    images, blobs = counted(found.images, "image"), counted(found.blobs, "blob")
    summary = f"{images}, {blobs}, {human_bytes(found.size)}"
    if found.foreign:
        summary += f", without {counted(len(found.foreign), 'foreign layer')}"
    if found.damaged or found.lost:
        logger.error(
            "{}: {}, {} damaged or missing: image-tools save --repair -f LIST -d {} fetches them",
            found.archive,
            summary,
            len(found.damaged),
            found.archive,
        )
    else:
        logger.info("{}: {}, all as their digests say", found.archive, summary)


ARCHIVE_LS = Page(
    name="archive ls",
    kind=ArchiveLsOptions,
    run=archive_ls,
    summary="list the images in an archive",
    about="List the images in an archive with their platforms, sizes and digests, from its tables "
    "alone: no layer is read.",
    groups=(
        group("Options", ArchiveLsOptions, "json format debug"),
        group(FOREIGN_TITLE, ArchiveLsOptions, FOREIGN_NAMES),
    ),
    notes=(note("Examples", "image-tools archive ls images.tar.gz"), ARCHIVE_EXIT_CODES),
)

ARCHIVE_VERIFY = Page(
    name="archive verify",
    kind=ArchiveVerifyOptions,
    run=archive_verify,
    summary="read all of an archive and check every digest",
    about="Read all of an archive once, hash every blob, and name what is damaged or missing, with "
    "the images that need it.",
    groups=(
        group("Options", ArchiveVerifyOptions, "format debug"),
        group(FOREIGN_TITLE, ArchiveVerifyOptions, FOREIGN_NAMES),
    ),
    notes=(note("Examples", "image-tools archive verify images.tar.gz"), ARCHIVE_EXIT_CODES),
)
