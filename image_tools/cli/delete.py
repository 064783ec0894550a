"""`image-tools delete`: from its options to its exit code."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping

from loguru import logger

from image_tools.cli import render
from image_tools.cli.asking import agreed
from image_tools.cli.reaching import image_to_delete, reaching, start_logs
from image_tools.cli.redact import clean
from image_tools.cli.text import is_terminal
from image_tools.commands.delete import DeletedImage, DeleteRequest
from image_tools.commands.delete import delete as deleted
from image_tools.errors import UsageError


def delete(options: Namespace, environ: Mapping[str, str]) -> int:
    """Delete an image; 1 when the answer was no, failures are raised."""
    start_logs(options, environ)
    request = DeleteRequest(image_to_delete(options.reference))
    if not options.yes and not is_terminal(sys.stdin):
        raise UsageError(
            "delete asks before it deletes, and there is no terminal to ask at",
            advice="add -y to delete without being asked",
        )
    with reaching(options, environ, {request.reference.registry}, writes=True) as opening:
        found = deleted(request, opening, lambda doomed: options.yes or _asked(doomed))
    if options.format == "json":
        render.out_json(found.to_json())
    elif found.deleted:
        render.out(clean(f"deleted {_name(found)}, tags: {', '.join(found.tags) or 'none'}"))
    if not found.deleted:
        logger.warning("nothing was deleted")
    return 0 if found.deleted else 1


def _asked(doomed: DeletedImage) -> bool:
    tags = ", ".join(doomed.tags) or "none"
    render.err(clean(f"{doomed.reference} is {doomed.digest}\ntags that go with it: {tags}"))
    return agreed("Delete it?")


def _name(found: DeletedImage) -> str:
    return f"{found.reference.partition('@')[0]}@{found.digest}"
