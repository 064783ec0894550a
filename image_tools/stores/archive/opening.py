"""Archives by their path: what lies there is told by its content, never by its name alone."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from image_tools.errors import ArchiveDamaged, EnvironmentProblem, UsageError
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.beside import journal_path, partial_path
from image_tools.stores.archive.content import Content
from image_tools.stores.archive.file import framing
from image_tools.stores.archive.file.forms import Form
from image_tools.stores.archive.file.framed import FramedContent, recognise
from image_tools.stores.archive.file.writing import refusals
from image_tools.stores.archive.folder import FolderContent, check_layout, is_layout
from image_tools.stores.archive.lent import archive_of
from image_tools.stores.archive.others.cache import Foreign
from image_tools.stores.archive.others.opening import check_foreign, foreign_archive, with_names
from image_tools.stores.archive.repairing import RepairingContent, damage, repairing_volumes
from image_tools.stores.archive.volumes.list import base_and_number, volume_numbers
from image_tools.stores.archive.volumes.set import has_volumes
from image_tools.stores.archive.volumes.volumes import VolumesContent
from image_tools.stores.archive.whole import alone, repair_advice, set_name, with_all_volumes

_FRAMED = {
    Form.TAR: framing.Packing.TAR,
    Form.GZIP: framing.Packing.GZIP,
    Form.ZSTD: framing.Packing.ZSTD,
}


class Standing(Enum):
    """What lies at a path: nothing, an archive to add to, something else, or a folder of that."""

    NOTHING = "nothing"
    ARCHIVE = "archive"
    OTHER = "other"
    OTHER_FOLDER = "other folder"


@dataclass(frozen=True, slots=True)
class Look:
    """What lies at a path; `form` where that is an archive, `problem` why it is none to add to.

    `part_size` in bytes is that of an archive in volumes. It `is_damaged` when it was an archive of
    ours. `advice` is for who wants to read it.
    """

    standing: Standing
    form: Form | None = None
    problem: str = ""
    part_size: int | None = None
    advice: str = ""
    is_damaged: bool = False


def look(path: Path) -> Look:
    """What lies at `path`; EnvironmentProblem when one cannot look."""
    try:
        if has_volumes(path):
            return _look_at_volumes(path)
        if not path.exists():
            return Look(Standing.NOTHING)
        if path.is_dir():
            return _look_into(path)
        found = recognise(path)
    except ArchiveDamaged as error:
        return Look(Standing.OTHER, problem=error.message, advice=error.advice, is_damaged=True)
    except OSError as error:
        raise EnvironmentProblem(f"{path}: {error.strerror or error}") from error
    if found is None:
        problem = f"{path} is no archive of this program"
        return Look(Standing.OTHER, problem=problem, advice="give what save has written")
    return Look(Standing.ARCHIVE, _form(found))


def _form(framed: framing.Packing) -> Form:
    return next(form for form, same in _FRAMED.items() if same is framed)


def _look_at_volumes(path: Path) -> Look:
    try:
        with closing(VolumesContent.found(path)) as found:
            return Look(Standing.ARCHIVE, _form(found.form), part_size=found.part_size)
    except ArchiveDamaged as error:
        if journal_path(set_name(path)).exists():
            return Look(Standing.NOTHING)  # A run that did not end goes on.
        return Look(Standing.OTHER, problem=error.message, is_damaged=True)


def _look_into(path: Path) -> Look:
    if is_layout(path) or not any(path.iterdir()):
        return Look(Standing.ARCHIVE, Form.FOLDER)
    return Look(Standing.OTHER_FOLDER, problem=f"{path} is a folder with other things in it")


def read_archive(
    path: Path, *, finished: bool = True, whole: bool = True, foreign: Foreign = Foreign()
) -> Archive:
    """The archive at `path`, to read; with `finished` a folder must have been saved to its end.

    Not `whole`, volumes may be lost. What others wrote is opened as `foreign` says. UsageError when
    nothing lies there, ArchiveDamaged when it is no whole archive.
    """
    found = look(path)
    if found.standing is Standing.NOTHING:
        raise UsageError(f"the archive {path} does not exist", advice=_unfinished(path))
    if found.is_damaged:
        advice = repair_advice(path) if has_volumes(path) else found.advice
        raise ArchiveDamaged(found.problem, advice=advice)
    if found.form is None:
        return foreign_archive(path, foreign)
    if found.form is not Form.FOLDER:
        with refusals(str(path)):
            return with_names(_file(path, found, whole=whole), foreign)
    if finished:
        check_layout(path)
    content = FolderContent(path, name=str(path), writing=False)
    if finished and not content.index():
        content.close()
        raise ArchiveDamaged(f"{path} has no index.json: it was not saved to its end")
    archive = archive_of(content)
    return with_names(archive, foreign) if finished else archive


def _file(path: Path, found: Look, *, whole: bool) -> Archive:
    if found.part_size is None:
        return archive_of(alone(FramedContent.reading(path)))
    archive = archive_of(VolumesContent.found(path))
    return with_all_volumes(archive, path) if whole else archive


def check_archive(path: Path) -> None:
    """Nothing when there is an archive at `path`; what others wrote is not looked into.

    UsageError or ArchiveDamaged as `read_archive`.
    """
    found = look(path)
    if found.form is not None or found.standing is Standing.NOTHING or found.is_damaged:
        read_archive(path, foreign=Foreign(lenient=True)).close()
    else:
        check_foreign(path)


def add_to_archive(path: Path) -> Archive:
    """The archive at `path`, to add to; AlreadyRunning when another process does so.

    ArchiveDamaged when volumes of it are lost.
    """
    found = look(path)
    if found.form is None:
        raise UsageError(found.problem or f"the archive {path} does not exist")
    if found.form is Form.FOLDER:
        return archive_of(FolderContent(path, name=str(path), writing=True), writing=True)
    with refusals(str(path)):
        if found.part_size is None:
            return archive_of(alone(FramedContent.adding(path)), writing=True)
        with_all_volumes(archive_of(VolumesContent.found(path)), path).close()
        return archive_of(VolumesContent.adding(path), writing=True)


def repair_archive(path: Path, part_size: int | None) -> Archive:
    """The archive at `path`, to which its lost and damaged blobs are brought again.

    All of it is read. Its content is a `RepairingContent`. `part_size` counts only where the last
    of its volumes is lost. ArchiveDamaged when nothing can be read of it; AlreadyRunning when
    another process writes it.
    """
    found = look(path)
    if has_volumes(path):
        with refusals(str(path)):
            return _repairing(repairing_volumes(path, part_size))
    if found.form is None:
        raise ArchiveDamaged(
            found.problem or f"the archive {path} does not exist",
            advice="nothing of it can be read: save it anew",
        )
    if found.form is Form.FOLDER:
        return _repairing(FolderContent(path, name=str(path), writing=True))
    with refusals(str(path)):
        return _repairing(alone(FramedContent.adding(path)))


def _repairing(content: Content) -> Archive:
    try:
        repairing = RepairingContent(content, damage(content))
        archive = archive_of(repairing, writing=True)
        archive.damaged = repairing.damaged.keys()
        return archive
    except BaseException:
        content.close()
        raise


def new_archive(path: Path, form: Form, part_size: int | None = None) -> Archive:
    """A new archive that replaces what lies at `path`, when it is published.

    With `part_size` in bytes it is in volumes, and those that are there are replaced at once; they
    keep their size without. It goes on where a run was killed. A folder keeps its blobs, where they
    are sound, but none of its tags.
    AlreadyRunning when another process writes it.
    """
    part_size = part_size or look(path).part_size
    base, _ = base_and_number(path)
    if part_size is not None:
        if base.exists():
            raise UsageError(f"{base} is in the way of its volumes", advice="give another name")
        volumes = VolumesContent.create(base, _FRAMED[form], part_size)
        return archive_of(volumes, writing=True, anew=True)
    if volume_numbers(path) or volume_numbers(path, ".partial"):
        raise UsageError(
            f"volumes of {path} are there",
            advice="add --part to write them on, or anew; or give another name",
        )
    if form is Form.FOLDER:
        content = FolderContent(path, name=str(path), writing=True, trusting=False)
        return archive_of(content, writing=True, anew=True)
    return archive_of(FramedContent.create(path, _FRAMED[form]), writing=True, anew=True)


def sweep(archive: Archive) -> None:
    """Remove the blobs of a folder that nothing leads to; a file has none that could be removed."""
    if isinstance(archive.content, FolderContent):
        reachable = archive.reachable()
        for digest, _ in tuple(archive.content.digests()):
            if digest not in reachable:
                archive.content.forget(digest)


def _unfinished(path: Path) -> str:
    base, _ = base_and_number(path)
    for partial in (partial_path(path), journal_path(base)):
        if partial.exists():
            return f"{partial} is there: run the save again, it goes on from there"
    return "look at the spelling of its name"
