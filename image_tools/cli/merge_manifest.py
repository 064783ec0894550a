"""`image-tools merge-manifest`: from its options to its exit code."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping

from loguru import logger

from image_tools.cli import logs, render
from image_tools.cli.ending import endings_raised
from image_tools.cli.list_command import watched
from image_tools.cli.progress import Display, wanted
from image_tools.cli.reaching import image, side_of
from image_tools.cli.redact import add_secret, clean
from image_tools.cli.text import coloured
from image_tools.commands.list_run import ListRun
from image_tools.commands.merge_manifest import COMMAND, MergeRequest, merge
from image_tools.commands.request import ListRequest
from image_tools.commands.wiring import Surroundings
from image_tools.errors import UsageError
from image_tools.oci.reference import Reference
from image_tools.retry import RetryPolicy
from image_tools.run.merge_manifest import Merged
from image_tools.run.options import Options
from image_tools.run.progress import Progress

_JOBS = 4


def merge_manifest(options: Namespace, environ: Mapping[str, str]) -> int:
    """Publish the index and write it to standard output; 0, failures are raised."""
    request = MergeRequest(
        destination=_destination(options.destination),
        sources=tuple(map(image, (options.first, *options.sources))),
        overwrite=options.overwrite,
        dry_run=options.dry_run,
    )
    progress = Progress()
    display = Display(progress, sys.stderr, moving=wanted(sys.stderr, environ, quiet=False))
    logs.configure(
        display.write,
        level="DEBUG" if options.debug else "INFO",
        colours=coloured(sys.stderr, environ),
    )
    surroundings = Surroundings(
        environ=environ, progress=progress, on_secret=add_secret, clean=clean
    )
    listed = _list_request(options, environ, request)
    with endings_raised(), ListRun(listed, surroundings) as run, watched(run, display):
        merged = merge(request, run)
    _say(request, merged)
    render.out_bytes(merged.index.content)
    return 0


def _destination(text: str) -> Reference:
    found = image(text)
    if found.digest is not None:
        raise UsageError(
            f"{text} is meant by its digest, and what is written has another one",
            advice=f"write {found.name}:TAG",
        )
    return found


def _list_request(
    options: Namespace, environ: Mapping[str, str], request: MergeRequest
) -> ListRequest:
    sources = {source.registry for source in request.sources}
    return ListRequest(
        command=COMMAND,
        source=side_of(options, environ, sources),
        destination=side_of(options, environ, {request.destination.registry}, writes=True),
        options=Options(
            jobs=_JOBS,
            retry=RetryPolicy(times=options.retry_times, delay=options.retry_delay),
            dry_run=options.dry_run,
        ),
        insecure_policy=options.insecure_policy,
        download=not options.no_download,
    )


def _say(request: MergeRequest, merged: Merged) -> None:
    digest = merged.index.digest
    if not merged.changed:
        logger.info("{}: unchanged ({})", request.destination, digest)
    elif request.dry_run:
        count = len(merged.copied)
        logger.info("{}: {} images would be copied; nothing is written", request.destination, count)
    else:
        logger.info("{}: written ({})", request.destination, digest)
