"""`image-tools list-tags`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from loguru import logger

from image_tools.cli import render
from image_tools.cli.reaching import reaching, repository, start_logs
from image_tools.cli.redact import clean
from image_tools.commands.list_tags import ListTagsRequest
from image_tools.commands.list_tags import list_tags as listed


def list_tags(options: Namespace, environ: Mapping[str, str]) -> int:
    """Show the tags, one a line or as JSON; 0, also where there is none."""
    start_logs(options, environ)
    request = ListTagsRequest(repository=repository(options.repository), pattern=options.filter)
    with reaching(options, environ, {request.repository.registry}) as opening:
        found = listed(request, opening)
    if options.format == "json":
        render.out_json(found.to_json())
    elif found.tags:
        render.out("\n".join(clean(tag) for tag in found.tags))
    else:
        logger.info("{}: none of {} tags", found.repository, found.total)
    return 0
