"""What `--base` means: an inventory, an archive, or a registry that can be asked."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from loguru import logger

from image_tools.cli.inventory import inventory_at, said_of
from image_tools.cli.request import chosen_registries
from image_tools.commands.inventory import archive_inventory
from image_tools.errors import EnvironmentProblem, InvalidReference, UsageError
from image_tools.imagelist.registries import choose_registries
from image_tools.stores.archive.inventory import Inventory, parse_inventory

_PROJECT = "library"


def base_of(
    options: Namespace, environ: Mapping[str, str], content: bytes | None = None
) -> Inventory | None:
    """What the far side has, as the options say; None where they do not.

    A registry is asked for the images of the list in `content`.
    UsageError for what is neither a file nor a registry, ArchiveDamaged for a damaged file.
    """
    if not options.base:
        return None
    path = Path(options.base)
    found = _from_file(path) if path.exists() else _from_registry(options, environ, content)
    logger.info("{}: left out are {}", found.name, said_of(found))
    return found


def _from_file(path: Path) -> Inventory:
    if path.is_dir():
        return archive_inventory(path)
    try:
        with path.open("rb") as file:
            if file.read(1) == b"{":
                return parse_inventory(b"{" + file.read(), str(path))
    except OSError as error:
        raise EnvironmentProblem(f"{path}: {error.strerror or error}") from error
    return archive_inventory(path)


def _from_registry(
    options: Namespace, environ: Mapping[str, str], content: bytes | None
) -> Inventory:
    try:
        chosen = choose_registries(None, options.base, _PROJECT, {})
    except InvalidReference as error:
        raise UsageError(
            f"--base {options.base}: there is no such file, and it is no registry: {error}",
            advice="give an inventory, an archive, or REGISTRY[/PATH]",
        ) from error
    whole = {**vars(options), "destination": None, "default_project": _PROJECT}
    sources = chosen_registries(Namespace(**whole), environ)
    registries = replace(
        sources,
        destination=chosen.destination,
        destination_prefix=chosen.destination_prefix,
    )
    return inventory_at(options, environ, registries, content)[0]
