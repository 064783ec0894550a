"""`image-tools inventory`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from loguru import logger

from image_tools.cli import render
from image_tools.cli.listing import read_images, reading_of
from image_tools.cli.reaching import reaching, start_logs
from image_tools.cli.request import chosen_registries
from image_tools.cli.text import counted
from image_tools.commands.inventory import inventory as taken
from image_tools.errors import EnvironmentProblem
from image_tools.imagelist.line import resolve_names
from image_tools.imagelist.registries import Registries
from image_tools.stores.archive.inventory import Inventory


def inventory(options: Namespace, environ: Mapping[str, str]) -> int:
    """Write down what the destinations of a list hold; 1 where a line could not be read."""
    start_logs(options, environ)
    registries = chosen_registries(options, environ)
    found, problems = inventory_at(options, environ, registries)
    write_inventory(found, options.output)
    return int(problems)


def inventory_at(
    options: Namespace,
    environ: Mapping[str, str],
    registries: Registries,
    content: bytes | None = None,
) -> tuple[Inventory, bool]:
    """What the destinations of the list hold, and whether some of its lines could not be read.

    `content` is the list where it was read before.
    """
    reading = replace(reading_of(options, resolved=resolve_names), content=content)
    images = read_images(options.file, registries, reading)
    places = {entry.destination.registry for entry in images.entries}
    name = "/".join(filter(None, (registries.destination, registries.destination_prefix)))
    with reaching(options, environ, places, writes=True) as opening:
        found = taken(images.entries, name or images.name, opening)
    return found, bool(images.problems)


def said_of(found: Inventory) -> str:
    """How much an inventory holds, for people."""
    return f"{counted(len(found.images), 'image')}, {counted(len(found.sizes), 'blob')}"


def write_inventory(found: Inventory, output: str | None) -> None:
    """Write an inventory to the file `output`, else to standard output."""
    content = found.to_bytes()
    logger.info("{}: {}", found.name, said_of(found))
    if not output or output == "-":
        render.out_bytes(content)
        return
    path = Path(output)
    render.check_result_file("--output", path)
    try:
        # Whole or not at all: half of it would stand for an archive all the same.
        render.write_file(path, content)
    except OSError as error:
        raise EnvironmentProblem(f"{output}: {error.strerror or error}") from error
