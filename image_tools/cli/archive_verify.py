"""`image-tools archive verify`: from its options to its exit code."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from loguru import logger

from image_tools.cli import render
from image_tools.cli.ending import endings_raised
from image_tools.cli.foreign import foreign_of
from image_tools.cli.progress import Display, wanted
from image_tools.cli.reaching import start_logs
from image_tools.cli.text import counted, human_bytes
from image_tools.commands.archive_verify import Verification
from image_tools.commands.archive_verify import archive_verify as verified
from image_tools.run.progress import Progress


def archive_verify(options: Namespace, environ: Mapping[str, str]) -> int:
    """Say what is damaged in an archive; 1 where something is."""
    start_logs(options, environ)
    progress = Progress()

    def show(done: int, total: int) -> None:
        progress.plan(total)
        progress.bytes_source = lambda: done

    display = Display(progress, sys.stderr, moving=wanted(sys.stderr, environ, quiet=False))
    with endings_raised(), display:
        found = verified(Path(options.archive), foreign_of(options, lenient=True), show)
    if options.format == "json":
        render.out_json(found.to_json())
    _say(found)
    return 1 if found.damaged or found.lost else 0


def _say(found: Verification) -> None:
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
