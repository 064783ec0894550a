"""Archives by their path: what lies there is detected by its content, never by its name alone."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from image_tools.errors import ArchiveDamaged, EnvironmentProblem, UsageError
from image_tools.machine.files import disk_errors
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.content import Content, Form, HasVolumes
from image_tools.stores.archive.file.archive_file import FileContent, file_form
from image_tools.stores.archive.file.journal import journal_path, partial_path
from image_tools.stores.archive.folder import FolderContent, check_layout, is_layout
from image_tools.stores.archive.image_contents import contents
from image_tools.stores.archive.inventory import relied_on
from image_tools.stores.archive.others.cache import Foreign
from image_tools.stores.archive.others.opening import check_foreign, foreign_archive, with_names
from image_tools.stores.archive.repair import RepairingContent, damage, repairing_volumes
from image_tools.stores.archive.volumes.list import base_and_number, volume_numbers
from image_tools.stores.archive.volumes.set import has_volumes, set_name
from image_tools.stores.archive.volumes.volumes import VolumesContent

_MOST_NAMED = 5


class PathKind(Enum):
    """The kinds of content at a path: nothing, an archive, something else, or a folder of that."""

    NOTHING = "nothing"
    ARCHIVE = "archive"
    OTHER = "other"
    OTHER_FOLDER = "other folder"


@dataclass(frozen=True, slots=True)
class Detected:
    """The content that was found at a path.

    `form` is that of an archive; else `problem` says why nothing can be added to it, and `advice`
    what a reader can do. `part_size` in bytes is that of an archive in volumes. If it `is_damaged`,
    it was an archive of this program.
    """

    kind: PathKind
    form: Form | None = None
    problem: str = ""
    part_size: int | None = None
    advice: str = ""
    is_damaged: bool = False


def detect(path: Path) -> Detected:
    """Return what lies at `path`; raise EnvironmentProblem when it cannot be looked at."""
    try:
        if has_volumes(path):
            return _detect_volumes(path)
        if not path.exists():
            return Detected(PathKind.NOTHING)
        if path.is_dir():
            return _detect_folder(path)
        form = file_form(path)
    except ArchiveDamaged as error:
        return Detected(PathKind.OTHER, problem=error.message, advice=error.advice, is_damaged=True)
    except OSError as error:
        raise EnvironmentProblem(f"{path}: {error.strerror or error}") from error
    if form is None:
        problem = f"{path} is no archive of this program"
        return Detected(PathKind.OTHER, problem=problem, advice="give what save has written")
    return Detected(PathKind.ARCHIVE, form)


def _detect_volumes(path: Path) -> Detected:
    try:
        with closing(VolumesContent.reading(path)) as found:
            return Detected(PathKind.ARCHIVE, found.form, part_size=found.part_size)
    except ArchiveDamaged as error:
        if journal_path(set_name(path)).exists():
            return Detected(PathKind.NOTHING)  # A run that did not end is continued.
        return Detected(PathKind.OTHER, problem=error.message, is_damaged=True)


def _detect_folder(path: Path) -> Detected:
    if is_layout(path) or not any(path.iterdir()):
        return Detected(PathKind.ARCHIVE, Form.FOLDER)
    problem = f"{path} is a folder with other things in it"
    return Detected(PathKind.OTHER_FOLDER, problem=problem)


def read_archive(
    path: Path, *, finished: bool = True, whole: bool = True, foreign: Foreign = Foreign()
) -> Archive:
    """Return the archive at `path`, to read.

    With `finished`, a folder must have been saved to its end. Without `whole`, volumes may be lost.
    Archives of other programs are opened as `foreign` says. Raise UsageError when nothing lies
    there, ArchiveDamaged when it is no whole archive.
    """
    found = detect(path)
    if found.kind is PathKind.NOTHING:
        raise UsageError(f"the archive {path} does not exist", advice=_unfinished(path))
    if found.is_damaged:
        advice = _repair_advice(path) if has_volumes(path) else found.advice
        raise ArchiveDamaged(found.problem, advice=advice)
    if found.form is None:
        return foreign_archive(path, foreign)
    if found.form is not Form.FOLDER:
        with disk_errors(str(path)):
            return with_names(_file_archive(path, found, whole=whole), foreign)
    if finished:
        check_layout(path)
    content = FolderContent(path, name=str(path), writing=False)
    if finished and not content.index():
        content.close()
        raise ArchiveDamaged(f"{path} has no index.json: it was not saved to its end")
    archive = _archive_of(content)
    return with_names(archive, foreign) if finished else archive


def _file_archive(path: Path, found: Detected, *, whole: bool) -> Archive:
    if found.part_size is None:
        return _archive_of(_single_file(FileContent.reading(path)))
    archive = _archive_of(VolumesContent.reading(path))
    return _with_all_volumes(archive, path) if whole else archive


def _unfinished(path: Path) -> str:
    base, _ = base_and_number(path)
    for partial in (partial_path(path), journal_path(base)):
        if partial.exists():
            return f"{partial} is there: run the save again, it goes on from there"
    return "look at the spelling of its name"


def check_archive(path: Path) -> None:
    """Check that there is an archive at `path`; those of other programs are not looked into.

    Raise UsageError or ArchiveDamaged as `read_archive` does.
    """
    found = detect(path)
    if found.form is not None or found.kind is PathKind.NOTHING or found.is_damaged:
        read_archive(path, foreign=Foreign(lenient=True)).close()
    else:
        check_foreign(path)


def add_to_archive(path: Path) -> Archive:
    """Return the archive at `path`, to add to.

    Raise AlreadyRunning when another process adds to it, ArchiveDamaged when volumes are lost.
    """
    found = detect(path)
    if found.form is None:
        raise UsageError(found.problem or f"the archive {path} does not exist")
    if found.form is Form.FOLDER:
        return _archive_of(FolderContent(path, name=str(path), writing=True), writing=True)
    with disk_errors(str(path)):
        if found.part_size is None:
            return _archive_of(_single_file(FileContent.adding(path)), writing=True)
        _with_all_volumes(_archive_of(VolumesContent.reading(path)), path).close()
        return _archive_of(VolumesContent.adding(path), writing=True)


def repair_archive(path: Path, part_size: int | None) -> Archive:
    """Return the archive at `path`, to which its lost and damaged blobs are brought again.

    All of it is read. `part_size` in bytes counts only where the last volume is lost. Raises
    ArchiveDamaged when nothing of it can be read, AlreadyRunning when another process writes it.
    """
    found = detect(path)
    if has_volumes(path):
        with disk_errors(str(path)):
            return _repairing(repairing_volumes(path, part_size))
    if found.form is None:
        raise ArchiveDamaged(
            found.problem or f"the archive {path} does not exist",
            advice="nothing of it can be read: save it anew",
        )
    if found.form is Form.FOLDER:
        return _repairing(FolderContent(path, name=str(path), writing=True))
    with disk_errors(str(path)):
        return _repairing(_single_file(FileContent.adding(path)))


def _repairing(content: Content) -> Archive:
    try:
        repairing = RepairingContent(content, damage(content))
        archive = _archive_of(repairing, writing=True)
        archive.damaged, archive.fetched = repairing.damaged.keys(), repairing.fetched
        return archive
    except BaseException:
        content.close()
        raise


def new_archive(path: Path, form: Form, part_size: int | None = None) -> Archive:
    """Return a new archive that replaces what lies at `path` when it is published.

    With `part_size` in bytes it is in volumes, and old ones are removed at once; without, old
    volumes keep their size. It continues where a run was killed. A folder keeps its sound blobs,
    but none of its tags. Raise AlreadyRunning when another process writes it.
    """
    part_size = part_size or detect(path).part_size
    base, _ = base_and_number(path)
    if part_size is not None:
        if base.exists():
            raise UsageError(f"{base} is in the way of its volumes", advice="give another name")
        volumes = VolumesContent.create(base, form, part_size)
        return _archive_of(volumes, writing=True, new=True)
    if volume_numbers(path) or volume_numbers(path, ".partial"):
        raise UsageError(
            f"volumes of {path} are there",
            advice="add --part to write them on, or anew; or give another name",
        )
    if form is Form.FOLDER:
        content = FolderContent(path, name=str(path), writing=True, trusting=False)
        return _archive_of(content, writing=True, new=True)
    return _archive_of(FileContent.create(path, form), writing=True, new=True)


def _archive_of(content: Content, *, writing: bool = False, new: bool = False) -> Archive:
    """Return the archive in `content`, with the blobs of its base; closes it on any error."""
    try:
        archive = Archive(content, writing=writing, new=new)
        archive.base_sizes = {} if new else relied_on(archive).sizes
    except BaseException:
        content.close()
        raise
    return archive


def _single_file(content: FileContent) -> FileContent:
    if content.volume is not None:
        content.close()
        raise ArchiveDamaged(
            f"{content.name} is one volume of an archive",
            advice="give it its name back, ending in .partN, beside the others",
        )
    return content


def _with_all_volumes(archive: Archive, path: Path) -> Archive:
    lost = lost_volumes(archive)
    if not lost:
        return archive
    archive.close()
    said = f"{set_name(path)} is not whole: {'; '.join(lost)}"
    raise ArchiveDamaged(said, advice=_repair_advice(path))


def lost_volumes(archive: Archive) -> tuple[str, ...]:
    """Return a line for each lost volume: what is wrong, what was in it, which images need it."""
    content = archive.content
    if not isinstance(content, HasVolumes) or not content.lost:
        return ()
    images = [(str(found.reference), found.problems.keys()) for found in contents(archive)]
    return tuple(
        f"{lost}{_needed([name for name, problems in images if lost.blobs & problems])}"
        for lost in content.lost
    )


def _needed(images: list[str]) -> str:
    more = len(images) - _MOST_NAMED
    named = ", ".join(images[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f", needed by {named}" if images else ", which no image needs"


def _repair_advice(path: Path) -> str:
    return (
        "copy these volumes again, or fetch what was in them:"
        f" image-tools save --repair -f LIST -d {set_name(path)}"
    )
