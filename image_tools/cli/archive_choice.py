"""The archives that a command line names: the one to write, and what `--base` leaves out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from loguru import logger

from image_tools.cli.interactive import agreed
from image_tools.cli.listing import Reading, read_images, reading_of
from image_tools.cli.reaching import reaching
from image_tools.cli.run_options import (
    ArchiveCopyOptions,
    IntoArchiveOptions,
    NewArchiveOptions,
    PullIntoArchiveOptions,
)
from image_tools.cli.shared_options import RegistryOptions
from image_tools.cli.text import counted, is_terminal
from image_tools.commands.archives import ArchiveDestination
from image_tools.commands.inventory import archive_inventory, inventory
from image_tools.errors import EnvironmentProblem, InvalidReference, UsageError
from image_tools.imagelist.line import resolve_names
from image_tools.imagelist.registries import Registries, choose_registries, in_projects
from image_tools.stores.archive.content import Form, form_named
from image_tools.stores.archive.inventory import Inventory, parse_inventory
from image_tools.stores.archive.opening import Detected, PathKind, detect
from image_tools.stores.archive.volumes.list import base_and_number
from image_tools.stores.archive.volumes.set import has_volumes, set_name
from image_tools.stores.archive.volumes.writing import SMALLEST_PART

_PROJECT = "library"
FAT32_LIMIT = (4 << 30) - 1


def chosen_archive(options: IntoArchiveOptions | ArchiveCopyOptions) -> ArchiveDestination:
    """Return the archive that `save` is to write: its name by the form, or its form by the name."""
    wanted = Form(options.compress) if options.compress else None
    part_size = _part_size(options, wanted)
    if not options.destination:
        form = wanted or Form.GZIP
        path = Path(form.default_name)
        return ArchiveDestination(
            path=path, form=form, replace=options.replace, part_size=part_size
        )
    path = Path(options.destination)
    path = base_and_number(path)[0] if part_size else set_name(path)
    named = form_named(path)
    if wanted and named and wanted is not named:
        logger.warning("{} is written in the form {}", path, wanted.value)
    form = wanted or named or Form.GZIP
    return ArchiveDestination(path=path, form=form, replace=options.replace, part_size=part_size)


def _part_size(options: NewArchiveOptions, form: Form | None) -> int | None:
    """Return the largest size of a volume in bytes, None for an archive in one piece."""
    if not options.part and options.part_size is None:
        return None
    if form is Form.FOLDER:
        raise UsageError("a folder has no volumes", advice="leave --compress dir or --part out")
    wished: int = FAT32_LIMIT if options.part_size is None else options.part_size
    if wished < SMALLEST_PART:
        raise UsageError(f"--part-size: volumes have {SMALLEST_PART} bytes at least")
    # 4G usually stands for the limit of FAT32, which is a byte less.
    return wished - 1 if wished == FAT32_LIMIT + 1 else wished


def repaired_archive(choice: ArchiveDestination, *, dry_run: bool) -> ArchiveDestination:
    """Return `choice` to be repaired; UsageError without an archive, or for other options."""
    for name, is_given in (("replace", choice.replace), ("dry-run", dry_run)):
        if is_given:
            raise UsageError(f"--repair and --{name} exclude each other")
    if detect(choice.path).kind is PathKind.NOTHING and not has_volumes(choice.path):
        raise UsageError(f"the archive {choice.path} does not exist", advice="make it with save")
    return replace(choice, repair=True)


def existing_archive(text: str) -> ArchiveDestination:
    """Return the archive that lies at `text`; UsageError without one."""
    path = set_name(Path(text))
    found = detect(path)
    if found.kind is PathKind.NOTHING:
        raise UsageError(f"the archive {path} does not exist", advice="make it with save")
    if found.form is None:
        raise UsageError(found.problem)
    return ArchiveDestination(path=path, form=found.form, part_size=found.part_size)


def may_begin(choice: ArchiveDestination, options: NewArchiveOptions, *, asks: bool = True) -> bool:
    """Return whether nothing is lost, or the person at the terminal agrees.

    Raise UsageError when there is no terminal to ask at. A run that writes nothing `asks` nothing.
    """
    found = detect(choice.path)
    _refuse_impossible(choice, found)
    if found.kind is PathKind.NOTHING and form_named(choice.path) not in (None, choice.form):
        logger.warning("{} is written in the form {}", choice.path, choice.form.value)
    adds = found.kind is PathKind.ARCHIVE and not choice.replace
    if adds and options.compress and found.form is not choice.form:
        raise UsageError(
            f"{choice.path} has the form {found.form.value if found.form else ''}",
            advice="leave --compress out, or make it anew with --replace",
        )
    if adds and choice.part_size not in (None, found.part_size):
        _say_its_size(choice, found)
    if adds or found.kind is PathKind.NOTHING or options.yes or not asks:
        return True
    if not is_terminal(sys.stdin):
        raise UsageError(
            f"{found.problem or f'{choice.path} is there'}: nobody can be asked whether to"
            " replace it",
            advice="add -y to replace it, or give another name with -d",
        )
    return agreed(f"{found.problem or f'{choice.path} is there'}. Replace it?")


def _say_its_size(choice: ArchiveDestination, found: Detected) -> None:
    if found.part_size is None:
        raise UsageError(
            f"{choice.path} is no archive in volumes",
            advice="leave --part out, or give another name with -d",
        )
    logger.info("{} keeps its volumes of {} bytes", choice.path, found.part_size)


def _refuse_impossible(choice: ArchiveDestination, found: Detected) -> None:
    """Raise UsageError where a folder would have to become a file, or a file a folder."""
    if found.kind is PathKind.OTHER_FOLDER:
        raise UsageError(found.problem, advice="give an empty folder, or a name that is free")
    if found.kind is PathKind.NOTHING:
        if not choice.path.absolute().parent.is_dir():
            raise UsageError(f"-d: the folder {choice.path.parent} does not exist")
        return
    becomes = choice.form if choice.replace or found.form is None else found.form
    is_folder = found.form is Form.FOLDER
    if is_folder is not (becomes is Form.FOLDER):
        what = "a folder" if is_folder else "a file"
        raise UsageError(f"{choice.path} is {what}", advice="give another name with -d")


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
