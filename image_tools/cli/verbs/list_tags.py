"""`image-tools list-tags`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from image_tools.cli import render, values
from image_tools.cli.options import Page, group, note, operand, option
from image_tools.cli.redact import clean
from image_tools.cli.shared_options import (
    READ_LOGIN,
    REGISTRY_NAMES,
    FormatOptions,
    RegistryOptions,
)


class ListTagsOptions(FormatOptions, RegistryOptions):
    """The options of `list-tags`."""

    repository: str = operand("REPOSITORY", "REGISTRY/REPOSITORY, without a tag")
    filter: re.Pattern[str] | None = option(
        "only tags in which this regular expression is found",
        read=values.pattern,
        once=True,
        metavar="REGEX",
    )


def list_tags(options: ListTagsOptions, environ: Mapping[str, str]) -> int:
    """Show the tags of a repository, one a line or as JSON; return 0, also where there is none."""
    from loguru import logger

    from image_tools.cli.logs import start_logs
    from image_tools.cli.reaching import reaching, repository
    from image_tools.commands.list_tags import ListTagsRequest
    from image_tools.commands.list_tags import list_tags as listed

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


LIST_TAGS = Page(
    name="list-tags",
    kind=ListTagsOptions,
    run=list_tags,
    summary="list the tags of a repository in the order of their versions",
    about="List the tags of a repository, versions first and counted as versions are: 1.9 before "
    "1.10, release candidates before their release.",
    groups=(
        group("Options", ListTagsOptions, "filter format debug"),
        group("Getting in", ListTagsOptions, REGISTRY_NAMES),
    ),
    notes=(
        note(
            "Examples",
            "image-tools list-tags nginx",
            "image-tools list-tags reg.example:5000/team/api --filter '^v?2[.]' --format json",
        ),
        READ_LOGIN,
    ),
)
