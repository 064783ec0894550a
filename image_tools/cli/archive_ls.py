"""`image-tools archive ls`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from loguru import logger

from image_tools.cli import render
from image_tools.cli.ending import endings_raised
from image_tools.cli.foreign import foreign_of
from image_tools.cli.reaching import start_logs
from image_tools.cli.results import standard_width
from image_tools.cli.tables import Column, table
from image_tools.cli.text import counted, human_bytes
from image_tools.commands.archive_ls import ArchivedImage
from image_tools.commands.archive_ls import archive_ls as listed

_COLUMNS = (
    Column("IMAGE", least=24),
    Column("PLATFORMS", least=12),
    Column("SIZE", right=True),
    Column("DIGEST", least=len("sha256:") + 13, keep_end=False),
)


def archive_ls(options: Namespace, environ: Mapping[str, str]) -> int:
    """Show what is in an archive; 1 where something of an image is not there."""
    start_logs(options, environ)
    with endings_raised():
        found = listed(Path(options.archive), foreign_of(options, lenient=True))
    if options.json or options.format == "json":
        render.out_json(found.to_json())
    elif found.images:
        rows = [_row(image) for image in found.images]
        render.out("\n".join(table(_COLUMNS, rows, standard_width(environ))))
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
