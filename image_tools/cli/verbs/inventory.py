"""`image-tools inventory` and `archive inventory`: what is there, for `save --base`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from image_tools.cli import render
from image_tools.cli.options import Page, changed, group, note, operand, option
from image_tools.cli.shared_options import (
    ARCHIVE,
    ARCHIVE_EXIT_CODES,
    REGISTRY_NAMES,
    DestinationOptions,
    EndOptions,
    ListOptions,
    LogOptions,
    RegistryOptions,
)
from image_tools.errors import EnvironmentProblem

if TYPE_CHECKING:
    from image_tools.stores.archive.inventory import Inventory


class ArchiveInventoryOptions(LogOptions):
    """The options of `archive inventory`."""

    archive: str = operand("FILE", ARCHIVE)
    output: str | None = option(
        "write the inventory to FILE", short="o", metavar="FILE", shown="to standard output"
    )


class InventoryOptions(EndOptions, ListOptions, RegistryOptions):
    """The options of `inventory`."""

    file: str = changed(ListOptions, "file", required=True)
    destination: str | None = changed(
        DestinationOptions, "destination", help="look at REGISTRY, where the images were loaded to"
    )
    output: str | None = changed(ArchiveInventoryOptions, "output")


def archive_inventory(options: ArchiveInventoryOptions, environ: Mapping[str, str]) -> int:
    """Write down what an archive holds; return 0."""
    from image_tools.cli.logs import start_logs
    from image_tools.commands.inventory import archive_inventory as taken

    start_logs(options, environ)
    _write(taken(Path(options.archive)), options.output)
    return 0


def inventory(options: InventoryOptions, environ: Mapping[str, str]) -> int:
    """Write down what the destinations of a list hold; return 1 where a line is invalid."""
    from image_tools.cli.archive_choice import registry_inventory
    from image_tools.cli.listing import reading_of
    from image_tools.cli.logs import start_logs
    from image_tools.cli.request import chosen_registries

    start_logs(options, environ)
    registries = chosen_registries(options, environ)
    found, problems = registry_inventory(
        options, environ, registries, options.file, reading_of(options)
    )
    _write(found, options.output)
    return int(problems)


def _write(found: Inventory, output: str | None) -> None:
    """Write an inventory to the file `output`, else to standard output."""
    from loguru import logger

    from image_tools.cli.archive_choice import extent

    content = found.to_bytes()
    logger.info("{}: {}", found.name, extent(found))
    if not output or output == "-":
        render.out_bytes(content)
        return
    path = Path(output)
    render.check_result_file("--output", path)
    try:
        # Whole or not at all: half of it would pass for a complete inventory.
        render.write_file(path, content)
    except OSError as error:
        raise EnvironmentProblem(f"{output}: {error.strerror or error}") from error


ARCHIVE_INVENTORY = Page(
    name="archive inventory",
    kind=ArchiveInventoryOptions,
    run=archive_inventory,
    summary="write down what an archive holds, as a small file for save --base",
    about="Write down the images and the digests of all blobs in an archive: a small file that "
    "stands for it where only what is new is to be saved.",
    groups=(group("Options", ArchiveInventoryOptions, "output debug"),),
    notes=(
        note("Examples", "image-tools archive inventory images.tar.gz -o there.json"),
        ARCHIVE_EXIT_CODES,
    ),
)

INVENTORY = Page(
    name="inventory",
    kind=InventoryOptions,
    run=inventory,
    summary="write down what a registry holds of a list, as a small file for save --base",
    about="Write down which images of a list are at their destinations, and the digests of all "
    "their blobs: a small file that is carried to where save is to leave out what is here.",
    groups=(
        group(
            "Options",
            InventoryOptions,
            "file source destination default-project skip-invalid allow-empty output debug",
        ),
        group("Getting in", InventoryOptions, REGISTRY_NAMES),
    ),
    notes=(
        note(
            "Examples", "image-tools inventory -f list.txt -d registry.example:5000 -o there.json"
        ),
        ARCHIVE_EXIT_CODES,
    ),
)
