"""Archives in volumes: whether all of them are there, and what is said where they are not."""

from __future__ import annotations

from pathlib import Path

from image_tools.errors import ArchiveDamaged
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.contents import contents
from image_tools.stores.archive.file.framed import FramedContent
from image_tools.stores.archive.repairing import RepairingContent
from image_tools.stores.archive.volumes.list import base_and_number
from image_tools.stores.archive.volumes.set import has_volumes
from image_tools.stores.archive.volumes.volumes import VolumesContent

_MOST_NAMED = 5


def set_name(path: Path) -> Path:
    """The name that the volumes of an archive have in common; of any other archive its own."""
    return base_and_number(path)[0] if has_volumes(path) else path


def alone(content: FramedContent) -> FramedContent:
    if content.volume is not None:
        content.close()
        raise ArchiveDamaged(
            f"{content.name} is one volume of an archive",
            advice="give it its name back, ending in .partN, beside the others",
        )
    return content


def with_all_volumes(archive: Archive, path: Path) -> Archive:
    lost = lost_volumes(archive)
    if not lost:
        return archive
    archive.close()
    said = f"{set_name(path)} is not whole: {'; '.join(lost)}"
    raise ArchiveDamaged(said, advice=repair_advice(path))


def lost_volumes(archive: Archive) -> tuple[str, ...]:
    """A line for each volume that is lost: what is wrong, what was in it, which images need it."""
    content = archive.content
    if isinstance(content, RepairingContent):
        content = content.content
    if not isinstance(content, VolumesContent) or not content.lost:
        return ()
    lacking = [(str(found.reference), found.problems.keys()) for found in contents(archive)]
    return tuple(
        f"{lost}{_needed([name for name, problems in lacking if lost.blobs & problems])}"
        for lost in content.lost
    )


def _needed(images: list[str]) -> str:
    more = len(images) - _MOST_NAMED
    named = ", ".join(images[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f", needed by {named}" if images else ", which no image needs"


def repair_advice(path: Path) -> str:
    return (
        "copy these volumes again, or fetch what was in them:"
        f" image-tools save --repair -f LIST -d {set_name(path)}"
    )
