"""Find the volumes of an archive, and say which are missing or damaged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from image_tools.errors import ArchiveDamaged, UsageError
from image_tools.machine.files import mib
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import Form, damaged
from image_tools.stores.archive.file.archive_file import FileContent, file_form
from image_tools.stores.archive.file.journal import journal_path, partial_path
from image_tools.stores.archive.file.toc import VolumeNumber
from image_tools.stores.archive.volumes.list import (
    BlobInVolume,
    ListedVolume,
    VolumeList,
    base_and_number,
    parse_list,
    volume_numbers,
    volume_path,
)


@dataclass(frozen=True, slots=True)
class UnreadableVolume:
    """A volume that is missing or damaged: why, and what is in it according to the list."""

    path: Path
    why: str
    holds: tuple[BlobInVolume, ...]

    @property
    def blobs(self) -> frozenset[Digest]:
        """Return the blobs that are in it, wholly or in part."""
        return frozenset(held.blob[0] for held in self.holds)

    def __str__(self) -> str:
        """Return one line for people."""
        if not self.holds:
            return f"{self.path.name} {self.why}"
        size = mib(sum(held.size for held in self.holds))
        return f"{self.path.name} {self.why}: {len(self.holds)} blobs, {size}"


@dataclass(frozen=True, slots=True)
class VolumeSet:
    """The volumes of an archive; the last of them has `index` and the list of the others."""

    form: Form
    set_id: str
    part_size: int
    index: bytes
    volumes: tuple[FileContent, ...]
    lost: tuple[UnreadableVolume, ...]


def has_volumes(path: Path) -> bool:
    """Return whether `path`, with or without `.partN`, is the name of an archive in volumes.

    The volume of that name may itself be missing.
    """
    base, _ = base_and_number(path)
    return bool(volume_numbers(base)) and not base.exists()


def set_name(path: Path) -> Path:
    """Return the name that the volumes of an archive share; of any other archive its own."""
    return base_and_number(path)[0] if has_volumes(path) else path


def find_set(path: Path) -> VolumeSet:
    """Return the volumes of an archive; `path` is one of them, or the name that they share.

    Raise ArchiveDamaged when the last one, with the list of all, is missing.
    """
    base, _ = base_and_number(path)
    whole, broken = _opened(base)
    try:
        last = max((n for n, content in whole.items() if _has_list(content)), default=None)
        if last is None:
            raise _no_list(base, whole, broken)
        return _set(base, whole, broken, last)
    except BaseException:
        for content in whole.values():
            content.close()
        raise


def find_remains(path: Path, part_size: int | None) -> VolumeSet:
    """Return what is left of an archive without its last volume, so without index and list.

    If `part_size` is None, it is the size of the biggest volume. Raise ArchiveDamaged when no
    volume is whole.
    """
    base, _ = base_and_number(path)
    whole, broken = _opened(base)
    sets = Counter(content.volume.set_id for content in whole.values() if content.volume)
    if not sets:
        raise _no_list(base, whole, broken)
    (set_id, _), *_ = sets.most_common(1)
    for number, content in [*whole.items()]:
        if content.volume is None or content.volume.set_id != set_id:
            whole.pop(number).close()
    found = tuple(content for _, content in sorted(whole.items()))
    lost = tuple(
        UnreadableVolume(volume_path(base, n), why, ()) for n, why in sorted(broken.items())
    )
    biggest = max(content.source.size() for content in found)
    return VolumeSet(found[0].form, set_id, part_size or biggest, b"", found, lost)


def _opened(base: Path) -> tuple[dict[int, FileContent], dict[int, str]]:
    """Return the volumes that are whole by themselves, and what is wrong with the others."""
    whole, broken = dict[int, FileContent](), dict[int, str]()
    for number in volume_numbers(base):
        path = volume_path(base, number)
        try:
            whole[number] = FileContent.reading(path)
        except ArchiveDamaged as error:
            broken[number] = error.message.removeprefix(f"{path} ")
        except OSError as error:
            broken[number] = f"cannot be read: {error.strerror}"
    return whole, broken


def _has_list(content: FileContent) -> bool:
    return content.volume is not None and bool(content.trailer and content.trailer.volumes)


def _no_list(base: Path, whole: dict[int, FileContent], broken: dict[int, str]) -> ArchiveDamaged:
    there = [f"part{number}" for number in sorted(whole)]
    there += [f"part{number} {why}" for number, why in sorted(broken.items())]
    said = f"its last volume, with the list of all, is missing; found: {', '.join(there) or 'none'}"
    return damaged(str(base), said)


def _set(base: Path, whole: dict[int, FileContent], broken: dict[int, str], last: int) -> VolumeSet:
    content = whole[last]
    assert content.trailer is not None
    listing = parse_list(content.name, content.trailer.volumes or b"")
    numbers = [listed.number for listed in listing.volumes]
    if numbers != sorted(set(numbers)) or last in numbers or not _is(content, listing, last):
        raise damaged(content.name, "its list is of other volumes")
    lost, found = list[UnreadableVolume](), list[FileContent]()
    for listed in listing.volumes:
        why = _wrong(listed, listing, whole.get(listed.number)) or ""
        if why:
            why = broken.get(listed.number, why)
            lost.append(UnreadableVolume(volume_path(base, listed.number), why, listed.holds))
        else:
            found.append(whole[listed.number])
    for other in set(whole.values()) - {content, *found}:
        other.close()
    volumes = (*found, content)
    index = content.index()
    return VolumeSet(content.form, listing.set_id, listing.part_size, index, volumes, tuple(lost))


def _is(content: FileContent, listing: VolumeList, number: int) -> bool:
    volume = content.volume
    return volume is not None and (volume.set_id, volume.number) == (listing.set_id, number)


def _wrong(listed: ListedVolume, listing: VolumeList, content: FileContent | None) -> str | None:
    if content is None:
        return "is missing"
    if not _is(content, listing, listed.number):
        return "belongs to another archive"
    if not content.trailer or content.trailer.table_digest != listed.table:
        return "is not the one that was saved with the others"
    return None


def unfinished_volumes(
    base: Path, form: Form, set_id: str
) -> tuple[list[FileContent], list[FileContent]]:
    """Return the volumes of this set that a killed run has finished, and those it has begun."""
    finished, _ = _opened(base)
    growing = list[FileContent]()
    try:
        for number, content in [*finished.items()]:
            if content.volume is None or content.volume.set_id != set_id:
                finished.pop(number).close()
        for number in volume_numbers(base, ".partial"):
            growing.append(new_volume(base, form, set_id, number))
        _clear_journals(base)
    except BaseException:
        for content in (*finished.values(), *growing):
            content.close()
        raise
    return [*finished.values()], growing


def is_published(base: Path, set_id: str, first: int) -> bool:
    """Return whether a run that began behind volume `first` has ended, except for its journal."""
    last = max(volume_numbers(base), default=0)
    if last <= first or volume_numbers(base, ".partial"):
        return False
    try:
        content = FileContent.reading(volume_path(base, last))
    except (ArchiveDamaged, OSError):
        return False
    content.close()
    return _has_list(content) and content.volume == VolumeNumber(set_id, last)


def _clear_journals(base: Path) -> None:
    """Remove the journals of a run that was killed just after it had finished a volume."""
    for number in volume_numbers(base, ".partial.journal"):
        partial = partial_path(volume_path(base, number))
        if not partial.exists():
            journal_path(partial).unlink()


def new_volume(base: Path, form: Form, set_id: str, number: int) -> FileContent:
    """Return a volume to write, or to continue. Raise what `FileContent.create` does."""
    return FileContent.create(volume_path(base, number), form, VolumeNumber(set_id, number))


def clear(base: Path) -> None:
    """Remove the volumes of an archive that is replaced.

    Raise UsageError when a file of such a name is no archive of this program.
    """
    for number in volume_numbers(base):
        path = volume_path(base, number)
        if not _is_ours(path):
            raise UsageError(
                f"{path} is no volume of an archive", advice="move it away, or give another name"
            )
        path.unlink()
    for number in volume_numbers(base, ".partial"):
        partial_path(volume_path(base, number)).unlink()
    _clear_journals(base)


def _is_ours(path: Path) -> bool:
    try:
        return file_form(path) is not None
    except ArchiveDamaged:
        return True
