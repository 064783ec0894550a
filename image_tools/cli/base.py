"""`--base` of `save`: an inventory, an archive, or a registry that can be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from loguru import logger

from image_tools.cli.listing import Reading, read_images, reading_of
from image_tools.cli.reaching import reaching
from image_tools.cli.run_options import PullIntoArchiveOptions
from image_tools.cli.shared_options import RegistryOptions
from image_tools.cli.text import counted
from image_tools.commands.inventory import archive_inventory, inventory
from image_tools.errors import EnvironmentProblem, InvalidReference, UsageError
from image_tools.imagelist.line import resolve_names
from image_tools.imagelist.registries import Registries, choose_registries, in_projects
from image_tools.stores.archive.inventory import Inventory, parse_inventory

_PROJECT = "library"


def base_of(
    base: str, options: PullIntoArchiveOptions, environ: Mapping[str, str], content: bytes | None
) -> Inventory:
    """Return what is at the other end already, as the text `base` of the option names it.

    A registry is asked for the images of the list in `content`. UsageError for what is neither a
    file nor a registry, ArchiveDamaged for a damaged file.
    """
    path = Path(base)
    found = _from_file(path) if path.exists() else _from_registry(base, options, environ, content)
    logger.info("{}: left out are {}", found.name, extent(found))
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
    base: str, options: PullIntoArchiveOptions, environ: Mapping[str, str], content: bytes | None
) -> Inventory:
    try:
        chosen = choose_registries(None, base, _PROJECT, {})
    except InvalidReference as error:
        raise UsageError(
            f"--base {base}: there is no such file, and it is no registry: {error}",
            advice="give an inventory, an archive, or REGISTRY[/PATH]",
        ) from error
    sources = choose_registries(options.source, None, _PROJECT, environ)
    registries = replace(
        in_projects(sources, options.source_project, None),
        destination=chosen.destination,
        destination_prefix=chosen.destination_prefix,
    )
    reading = replace(reading_of(options), content=content)
    return registry_inventory(options, environ, registries, options.file, reading)[0]


def registry_inventory(
    options: RegistryOptions,
    environ: Mapping[str, str],
    registries: Registries,
    file: str,
    reading: Reading,
) -> tuple[Inventory, bool]:
    """Return what the destinations of a list hold, and whether some of its lines are invalid."""
    images = read_images(file, registries, replace(reading, resolved=resolve_names))
    places = {entry.destination.registry for entry in images.entries}
    name = "/".join(filter(None, (registries.destination, registries.destination_prefix)))
    with reaching(options, environ, places, writes=True) as opening:
        found = inventory(images.entries, name or images.name, opening)
    return found, bool(images.problems)


def extent(found: Inventory) -> str:
    """Return how much an inventory holds, for people."""
    return f"{counted(len(found.images), 'image')}, {counted(len(found.sizes), 'blob')}"
