"""`image-tools delete`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from image_tools.cli import render
from image_tools.cli.options import Page, group, note, operand, switch
from image_tools.cli.redact import clean
from image_tools.cli.shared_options import REGISTRY_NAMES, FormatOptions, RegistryOptions
from image_tools.cli.text import is_terminal
from image_tools.errors import UsageError

if TYPE_CHECKING:
    from image_tools.commands.delete import DeletedImage


class DeleteOptions(FormatOptions, RegistryOptions):
    """The options of `delete`."""

    reference: str = operand(
        "REF", "the image: REGISTRY/REPOSITORY:TAG, or REGISTRY/REPOSITORY@sha256:..."
    )
    yes: bool = switch("do not ask; needed where there is no terminal", short="y")


def delete(options: DeleteOptions, environ: Mapping[str, str]) -> int:
    """Delete an image; return 1 when the answer was no. Failures are raised."""
    from loguru import logger

    from image_tools.cli.logs import start_logs
    from image_tools.cli.reaching import image_to_delete, reaching
    from image_tools.commands.delete import DeleteRequest
    from image_tools.commands.delete import delete as deleted

    start_logs(options, environ)
    request = DeleteRequest(image_to_delete(options.reference))
    if not options.yes and not is_terminal(sys.stdin):
        raise UsageError(
            "delete asks before it deletes, and there is no terminal to ask at",
            advice="add -y to delete without being asked",
        )
    with reaching(options, environ, {request.reference.registry}, writes=True) as opening:
        found = deleted(request, opening, lambda doomed: options.yes or _agreed(doomed))
    if options.format == "json":
        render.out_json(found.to_json())
    elif found.deleted:
        render.out(clean(f"deleted {_name(found)}, tags: {', '.join(found.tags) or 'none'}"))
    if not found.deleted:
        logger.warning("nothing was deleted")
    return 0 if found.deleted else 1


def _agreed(doomed: DeletedImage) -> bool:
    from image_tools.cli.interactive import agreed

    tags = ", ".join(doomed.tags) or "none"
    render.err(clean(f"{doomed.reference} is {doomed.digest}\ntags that go with it: {tags}"))
    return agreed("Delete it?")


def _name(found: DeletedImage) -> str:
    return f"{found.reference.partition('@')[0]}@{found.digest}"


DELETE = Page(
    name="delete",
    kind=DeleteOptions,
    run=delete,
    summary="delete an image from a registry, with all its tags",
    about="Delete an image from a registry. A registry deletes by digest: all tags that lead to "
    "the same digest go with it, and they are shown first.",
    groups=(
        group("Options", DeleteOptions, "yes format debug"),
        group("Getting in", DeleteOptions, REGISTRY_NAMES),
    ),
    notes=(
        note(
            "Examples",
            "image-tools delete reg.example:5000/team/api:2.0.0",
            "image-tools delete -y reg.example:5000/team/api:2.0.0",
        ),
        note(
            "Environment",
            "DOCKER_USERNAME, DOCKER_PASSWORD    login, for DOCKER_REGISTRY where that is set",
            "DEST_REGISTRY, DEST_USERNAME, ...   read where the DOCKER_ ones are not set",
            "REGISTRY_AUTH_FILE                  login file, else podman's and docker's",
        ),
        note(
            "Exit codes",
            "0    the image is deleted",
            "1    it is not: not found, not allowed, or the answer was no",
        ),
    ),
)
