"""Which archive a command line means, and whether what lies there may go."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from loguru import logger

from image_tools.cli.agreeing import agreed
from image_tools.cli.text import is_terminal
from image_tools.commands.request import ArchiveChoice
from image_tools.errors import UsageError
from image_tools.stores.archive.forms import Form, form_named
from image_tools.stores.archive.opening import Look, Standing, look


def chosen_archive(options: Namespace) -> ArchiveChoice:
    """The archive that `save` is asked for: its name by the form, or its form by the name."""
    wanted = Form(options.compress) if options.compress else None
    named = form_named(Path(options.destination)) if options.destination else None
    form = wanted or named or Form.GZIP
    is_parted = options.part or "part_size" in options.given
    if is_parted and form is Form.FOLDER:
        raise UsageError("--part makes volumes of a file: a folder has none")
    return ArchiveChoice(
        path=Path(options.destination or form.default_name),
        form=form,
        replace=options.replace,
        part_size=options.part_size if is_parted else None,
        repair=vars(options).get("repair", False),  # of save alone
    )


def existing_archive(text: str) -> ArchiveChoice:
    """The archive in `text`, which is there; UsageError when it is not."""
    path = Path(text)
    found = look(path)
    if found.standing is Standing.NOTHING:
        raise UsageError(f"the archive {path} does not exist", advice="make it with save")
    if found.form is None:
        raise UsageError(found.problem)
    return ArchiveChoice(path=path, form=found.form)  # It keeps its volumes where it has some.


def may_begin(choice: ArchiveChoice, options: Namespace) -> bool:
    """Whether nothing is lost by it, or somebody agrees; UsageError when nobody can be asked."""
    found = look(choice.path)
    _refuse_impossible(choice, found)
    if found.standing is Standing.NOTHING and form_named(choice.path) not in (None, choice.form):
        logger.warning("{} is written in the form {}", choice.path, choice.form.value)
    adds = found.standing is Standing.ARCHIVE and not choice.replace
    if adds and options.compress and found.form is not choice.form:
        raise UsageError(
            f"{choice.path} has the form {found.form.value if found.form else ''}",
            advice="leave --compress out, or make it anew with --replace",
        )
    if adds or found.standing is Standing.NOTHING or options.yes or options.dry_run:
        return True
    if not is_terminal(sys.stdin):
        raise UsageError(
            f"{found.problem or f'{choice.path} is there'}: nobody can be asked whether to"
            " replace it",
            advice="add -y to replace it, or give another name with -d",
        )
    return agreed(f"{found.problem or f'{choice.path} is there'}. Replace it?")


def _refuse_impossible(choice: ArchiveChoice, found: Look) -> None:
    """UsageError where a folder would have to become a file, or a file a folder."""
    if found.standing is Standing.OTHER_FOLDER:
        raise UsageError(found.problem, advice="give an empty folder, or a name that is free")
    if found.standing is Standing.NOTHING:
        if not choice.path.absolute().parent.is_dir():
            raise UsageError(f"-d: the folder {choice.path.parent} does not exist")
        return
    becomes = choice.form if choice.replace or found.form is None else found.form
    parts = choice.part_size is not None
    # Volumes that are added to stay volumes, without a word.
    if found.form and found.parted is not parts and (choice.replace or parts):
        what = "in volumes" if found.parted else "not in volumes"
        raise UsageError(f"{choice.path} is {what}", advice="give another name with -d")
    is_folder = found.form is Form.FOLDER
    if is_folder is not (becomes is Form.FOLDER):
        what = "a folder" if is_folder else "a file"
        raise UsageError(f"{choice.path} is {what}", advice="give another name with -d")
