"""`image-tools merge-manifest`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from image_tools.cli import render
from image_tools.cli.options import Page, group, note, operand, switch
from image_tools.cli.redact import add_secret, clean
from image_tools.cli.shared_options import IMAGE, REGISTRY_NAMES, RegistryOptions
from image_tools.cli.text import coloured
from image_tools.errors import UsageError

if TYPE_CHECKING:
    from image_tools.commands.merge_manifest import MergeRequest
    from image_tools.commands.request import ListRequest
    from image_tools.oci.reference import Reference
    from image_tools.run.merge_manifest import Merged

_JOBS = 4


class MergeManifestOptions(RegistryOptions):
    """The options of `merge-manifest`."""

    destination: str = operand("DEST", "the tag to write: REGISTRY/REPOSITORY:TAG")
    first: str = operand("SRC", IMAGE)
    sources: tuple[str, ...] = operand(
        "SRC...", "more images, in the order their platforms are to have", several=True
    )
    dry_run: bool = switch("show the index and write nothing")
    overwrite: bool = switch(
        "where two sources have different images of one platform, take the later one"
    )
    insecure_policy: bool = switch("accept images whatever the signature policy says")
    no_download: bool = switch("do not download skopeo where it is missing")


def merge_manifest(options: MergeManifestOptions, environ: Mapping[str, str]) -> int:
    """Publish the index and write it to standard output; return 0. Failures are raised."""
    from image_tools.cli import logs
    from image_tools.cli.list_runs import watched
    from image_tools.cli.progress import Display, wanted
    from image_tools.cli.reaching import image
    from image_tools.commands.list_run import ListRun
    from image_tools.commands.merge_manifest import MergeRequest, merge
    from image_tools.commands.wiring import Surroundings
    from image_tools.machine.signals import signals_raised
    from image_tools.run.progress import Progress

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
    with signals_raised(), ListRun(listed, surroundings) as run, watched(run, display):
        merged = merge(request, run)
    _say(request, merged)
    render.out_bytes(merged.index.content)
    return 0


def _destination(text: str) -> Reference:
    from image_tools.cli.reaching import image

    found = image(text)
    if found.digest is not None:
        raise UsageError(
            f"{text} is meant by its digest, and what is written has another one",
            advice=f"write {found.name}:TAG",
        )
    return found


def _list_request(
    options: MergeManifestOptions, environ: Mapping[str, str], request: MergeRequest
) -> ListRequest:
    from image_tools.cli.reaching import side_of
    from image_tools.commands.merge_manifest import COMMAND
    from image_tools.commands.request import ListRequest
    from image_tools.retry import RetryPolicy
    from image_tools.run.options import Options

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
    from loguru import logger

    digest = merged.index.digest
    if not merged.changed:
        logger.info("{}: unchanged ({})", request.destination, digest)
    elif request.dry_run:
        count = len(merged.copied)
        logger.info("{}: {} images would be copied; nothing is written", request.destination, count)
    else:
        logger.info("{}: written ({})", request.destination, digest)


MERGE_MANIFEST = Page(
    name="merge-manifest",
    kind=MergeManifestOptions,
    run=merge_manifest,
    summary="compose one multi-platform image of several images",
    about="Compose one index of several images or indexes, each platform once, and publish it at "
    "DEST. What it lists is copied there; what lay under the tag before is replaced, unless it is "
    "one of the sources. The index is written to standard output.",
    groups=(
        group(
            "Options", MergeManifestOptions, "dry-run overwrite insecure-policy no-download debug"
        ),
        group("Getting in", MergeManifestOptions, REGISTRY_NAMES),
    ),
    notes=(
        note(
            "Examples",
            "image-tools merge-manifest reg.example:5000/team/api:2.1 "
            "reg.example:5000/team/api:2.1-amd64 reg.example:5000/team/api:2.1-arm64",
            "image-tools merge-manifest --dry-run reg.example:5000/web/nginx:1.25 "
            "nginx:1.25 reg.example:5000/web/nginx:1.25-riscv64",
        ),
        note(
            "Environment",
            "SOURCE_USERNAME, SOURCE_PASSWORD    login, for SOURCE_REGISTRY where that is set",
            "DOCKER_USERNAME, DOCKER_PASSWORD    login, for DOCKER_REGISTRY where that is set",
            "REGISTRY_AUTH_FILE                  login file, else podman's and docker's",
        ),
        note(
            "Exit codes",
            "0    the index is published, was there already, or with --dry-run is possible",
            "1    it is not: a source is missing, or a registry refused",
            "2    the sources do not fit together",
            "3    this machine lacks something, such as skopeo",
        ),
    ),
)
