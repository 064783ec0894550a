"""Archives by their path: what lies there is told by its content, never by its name alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from image_tools.errors import ArchiveDamaged, EnvironmentProblem, UsageError
from image_tools.stores.archive import framing
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.folder import FolderContent, check_layout, is_layout
from image_tools.stores.archive.foreign import check_foreign, foreign_archive, with_names
from image_tools.stores.archive.foreign_cache import Foreign
from image_tools.stores.archive.forms import Form
from image_tools.stores.archive.framed import FramedContent, recognise
from image_tools.stores.archive.writing import refusals

_FRAMED = {Form.TAR: framing.Form.TAR, Form.GZIP: framing.Form.GZIP, Form.ZSTD: framing.Form.ZSTD}


class Standing(Enum):
    """What lies at a path: nothing, an archive to add to, something else, or a folder of that."""

    NOTHING = "nothing"
    ARCHIVE = "archive"
    OTHER = "other"
    OTHER_FOLDER = "other folder"


@dataclass(frozen=True, slots=True)
class Look:
    """What lies at a path; `form` where that is an archive, `problem` why it is none to add to.

    It `is_damaged` when it was an archive of ours.
    """

    standing: Standing
    form: Form | None = None
    problem: str = ""
    is_damaged: bool = False


def look(path: Path) -> Look:
    """What lies at `path`; EnvironmentProblem when one cannot look."""
    try:
        if not path.exists():
            return Look(Standing.NOTHING)
        if path.is_dir():
            return _look_into(path)
        found = recognise(path)
    except ArchiveDamaged as error:
        return Look(Standing.OTHER, problem=error.message, is_damaged=True)
    except OSError as error:
        raise EnvironmentProblem(f"{path}: {error.strerror or error}") from error
    if found is None:
        return Look(Standing.OTHER, problem=f"{path} is no archive of this program")
    return Look(Standing.ARCHIVE, next(form for form, same in _FRAMED.items() if same is found))


def _look_into(path: Path) -> Look:
    if is_layout(path) or not any(path.iterdir()):
        return Look(Standing.ARCHIVE, Form.FOLDER)
    return Look(Standing.OTHER_FOLDER, problem=f"{path} is a folder with other things in it")


def read_archive(path: Path, *, finished: bool = True, foreign: Foreign = Foreign()) -> Archive:
    """The archive at `path`, to read; with `finished` a folder must have been saved to its end.

    What others wrote is opened as `foreign` says. UsageError when nothing lies there,
    ArchiveDamaged when it is no whole archive.
    """
    found = look(path)
    if found.standing is Standing.NOTHING:
        raise UsageError(f"the archive {path} does not exist", advice=_unfinished(path))
    if found.is_damaged:
        raise ArchiveDamaged(found.problem)
    if found.form is None:
        return foreign_archive(path, foreign)
    if found.form is not Form.FOLDER:
        with refusals(str(path)):
            return with_names(Archive(FramedContent.reading(path)), path, foreign)
    if finished:
        check_layout(path)
    content = FolderContent(path, name=str(path), writing=False)
    if finished and not content.index():
        raise ArchiveDamaged(f"{path} has no index.json: it was not saved to its end")
    archive = Archive(content)
    return with_names(archive, path, foreign) if finished else archive


def check_archive(path: Path) -> None:
    """Nothing when there is an archive at `path`; what others wrote is not looked into.

    UsageError or ArchiveDamaged as `read_archive`.
    """
    found = look(path)
    if found.form is not None or found.standing is Standing.NOTHING or found.is_damaged:
        read_archive(path).close()
    else:
        check_foreign(path)


def add_to_archive(path: Path) -> Archive:
    """The archive at `path`, to add to; AlreadyRunning when another process does so."""
    found = look(path)
    if found.form is None:
        raise UsageError(found.problem or f"the archive {path} does not exist")
    if found.form is Form.FOLDER:
        return Archive(FolderContent(path, name=str(path), writing=True), writing=True)
    with refusals(str(path)):
        return Archive(FramedContent.adding(path), writing=True)


def new_archive(path: Path, form: Form) -> Archive:
    """A new archive that replaces what lies at `path`, when it is published.

    It goes on where a run was killed. A folder keeps its blobs, where they are sound, but none of
    its tags.
    AlreadyRunning when another process writes it.
    """
    if form is Form.FOLDER:
        content = FolderContent(path, name=str(path), writing=True, trusting=False)
        return Archive(content, writing=True, anew=True)
    return Archive(FramedContent.create(path, _FRAMED[form]), writing=True, anew=True)


def sweep(archive: Archive) -> None:
    """Remove the blobs of a folder that nothing leads to; a file has none that could be removed."""
    if isinstance(archive.content, FolderContent):
        reachable = archive.reachable()
        for digest, _ in tuple(archive.content.digests()):
            if digest not in reachable:
                archive.content.forget(digest)


def _unfinished(path: Path) -> str:
    partial = path.with_name(f"{path.name}.partial")
    if partial.exists():
        return f"{partial} is there: run the save again, it goes on from there"
    return "give the archive with --source"
