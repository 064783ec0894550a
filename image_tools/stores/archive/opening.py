"""Archives by their path: what lies there is told by its content, never by its name alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from image_tools.errors import ArchiveDamaged, EnvironmentProblem, UsageError
from image_tools.stores.archive import framing
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.content import Content
from image_tools.stores.archive.folder import FolderContent, check_layout, is_layout
from image_tools.stores.archive.forms import Form
from image_tools.stores.archive.framed import FramedContent, recognise
from image_tools.stores.archive.inventory import relied_on
from image_tools.stores.archive.volume_set import find_set, has_volumes
from image_tools.stores.archive.volumes import VolumesContent
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

    `parted`: in volumes. `advice` is for who wants to read it.
    """

    standing: Standing
    form: Form | None = None
    problem: str = ""
    parted: bool = False
    advice: str = ""


def look(path: Path) -> Look:
    """What lies at `path`; EnvironmentProblem when one cannot look."""
    try:
        if has_volumes(path):
            return Look(Standing.ARCHIVE, _form(_form_of_volumes(path)), parted=True)
        if not path.exists():
            return Look(Standing.NOTHING)
        if path.is_dir():
            return _look_into(path)
        found = recognise(path)
    except ArchiveDamaged as error:
        return Look(Standing.OTHER, problem=error.message, advice=error.advice)
    except OSError as error:
        raise EnvironmentProblem(f"{path}: {error.strerror or error}") from error
    if found is None:
        problem = f"{path} is no archive of this program"
        return Look(Standing.OTHER, problem=problem, advice="give what save has written")
    return Look(Standing.ARCHIVE, _form(found))


def _form(framed: framing.Form) -> Form:
    return next(form for form, same in _FRAMED.items() if same is framed)


def _form_of_volumes(path: Path) -> framing.Form:
    found = find_set(path)
    for volume in found.volumes:
        volume.close()
    return found.form


def _look_into(path: Path) -> Look:
    if is_layout(path) or not any(path.iterdir()):
        return Look(Standing.ARCHIVE, Form.FOLDER)
    return Look(Standing.OTHER_FOLDER, problem=f"{path} is a folder with other things in it")


def read_archive(path: Path, *, finished: bool = True) -> Archive:
    """The archive at `path`, to read; with `finished` a folder must have been saved to its end.

    UsageError when nothing lies there, ArchiveDamaged when it is no whole archive.
    """
    return _knowing_what_is_lent(_read(path, finished=finished))


def _read(path: Path, *, finished: bool) -> Archive:
    found = look(path)
    if found.standing is Standing.NOTHING:
        raise UsageError(f"the archive {path} does not exist", advice=_unfinished(path))
    if found.standing is Standing.OTHER_FOLDER:
        raise UsageError(f"{path} holds no archive", advice="give what save has written")
    if found.form is None:
        raise ArchiveDamaged(found.problem, advice=found.advice)
    if found.form is not Form.FOLDER:
        with refusals(str(path)):
            return _archive((VolumesContent if found.parted else FramedContent).reading(path))
    if finished:
        check_layout(path)
    content = FolderContent(path, name=str(path), writing=False)
    if finished and not content.index():
        content.close()
        raise ArchiveDamaged(f"{path} has no index.json: it was not saved to its end")
    return _archive(content)


def add_to_archive(path: Path, *, repair: bool = False) -> Archive:
    """The archive at `path`, to add to; AlreadyRunning when another process does so.

    With `repair` what is damaged in a folder counts as missing, and volumes may be lost. Otherwise
    those are ArchiveDamaged. UsageError when one file is to be repaired.
    """
    return _knowing_what_is_lent(_added_to(path, repair=repair))


def _added_to(path: Path, *, repair: bool) -> Archive:
    found = look(path)
    if found.form is None:
        raise UsageError(found.problem or f"the archive {path} does not exist")
    if found.form is Form.FOLDER:
        content = FolderContent(path, name=str(path), writing=True, trusting=not repair)
        return _archive(content, writing=True)
    if found.parted:
        return _archive(_volumes(path, repair=repair), writing=True)
    if repair:
        raise UsageError(f"{path} is one file: it cannot be repaired", advice="try --replace")
    with refusals(str(path)):
        return _archive(FramedContent.adding(path), writing=True)


def _volumes(path: Path, *, repair: bool) -> VolumesContent:
    with refusals(str(path)):
        content = VolumesContent.adding(path)
    if content.lost and not repair:
        content.close()
        VolumesContent.reading(path)  # It says what is lost.
    return content


def new_archive(path: Path, form: Form, part_size: int | None = None) -> Archive:
    """A new archive that replaces what lies at `path`, when it is published.

    With `part_size` it is in volumes of so many bytes at most.

    It goes on where a run was killed. A folder keeps its blobs, where they are sound, but none of
    its tags.
    AlreadyRunning when another process writes it.
    """
    if form is Form.FOLDER:
        content = FolderContent(path, name=str(path), writing=True, trusting=False)
        return _archive(content, writing=True, anew=True)
    if part_size is not None:
        volumes = VolumesContent.create(path, _FRAMED[form], part_size)
        return _archive(volumes, writing=True, anew=True)
    framed = FramedContent.create(path, _FRAMED[form])
    return _archive(framed, writing=True, anew=True)


def _archive(content: Content, *, writing: bool = False, anew: bool = False) -> Archive:
    """The archive of an open content, which is closed when it is none."""
    try:
        return Archive(content, writing=writing, anew=anew)
    except BaseException:
        content.close()
        raise


def sweep(archive: Archive) -> None:
    """Remove the blobs of a folder that nothing leads to; a file has none that could be removed."""
    if isinstance(archive.content, FolderContent):
        reachable = archive.reachable()
        for digest, _ in tuple(archive.content.digests()):
            if digest not in reachable:
                archive.content.forget(digest)


def _knowing_what_is_lent(archive: Archive) -> Archive:
    try:
        archive.lent = relied_on(archive).sizes
    except BaseException:
        archive.close()
        raise
    return archive


def _unfinished(path: Path) -> str:
    partial = path.with_name(f"{path.name}.partial")
    if partial.exists():
        return f"{partial} is there: run the save again, it goes on from there"
    return "give the archive with --source"
