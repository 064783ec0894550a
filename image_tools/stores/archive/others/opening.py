"""Archives of other programs and of the predecessor, opened through a cache folder.

Known are tars and folders of `docker save` (also of Docker 25 and later, an image layout), image
layouts in a tar, and `saved-images-list.json` with the folders beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from loguru import logger

from image_tools.errors import ArchiveDamaged, UsageError
from image_tools.machine.files import mib
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.content import damaged
from image_tools.stores.archive.folder import LONGEST_INDEX, FolderContent
from image_tools.stores.archive.others.blobs import Blobs, Survey, survey, unpack
from image_tools.stores.archive.others.cache import Cache, CachedContent, Foreign
from image_tools.stores.archive.others.docker import MANIFEST, docker_catalogue
from image_tools.stores.archive.others.image_names import whole_names
from image_tools.stores.archive.others.predecessor import LIST, predecessor_catalogue
from image_tools.stores.archive.others.source import ForeignArchive, opened_source


class Layout(Enum):
    """The kinds of archive, by the file that identifies them."""

    PREDECESSOR = LIST
    OCI = "oci-layout"
    DOCKER = MANIFEST


def foreign_archive(path: Path, choice: Foreign) -> Archive:
    """Return the archive at `path`, to read, unpacked into a folder that goes when it is closed.

    Raise ArchiveDamaged when it is of no known kind or was changed, DiskFull when there is no room
    for it, UsageError when an image needs a name.
    """
    with _opened(path) as source:
        cache = Cache.create(path, choice)
        try:
            _fill(cache, source, choice)
            return Archive(CachedContent(cache, str(path)))
        except BaseException:
            cache.keep = False  # Its content is no archive.
            cache.close()
            raise


@contextmanager
def _opened(path: Path) -> Iterator[ForeignArchive]:
    if path.is_dir() and not any((path / layout.value).is_file() for layout in Layout):
        raise UsageError(f"{path} holds no archive", advice="give what save has written")
    with opened_source(path) as source:
        yield source


def check_foreign(path: Path) -> None:
    """Raise UsageError or ArchiveDamaged unless `path` may be an archive of another program."""
    with _opened(path):
        pass


def with_names(archive: Archive, choice: Foreign) -> Archive:
    """Return `archive`, which others may have written, with names for all images; else close it."""
    try:
        archive.catalogue = whole_names(archive, choice)
    except BaseException:
        archive.close()
        raise
    return archive


def _fill(cache: Cache, source: ForeignArchive, choice: Foreign) -> None:
    found = survey(source, cache)
    layout, top = _layout(found)
    logger.info("{} ({}) is unpacked into {}", source.name, mib(found.total), cache.path)
    content = FolderContent(cache.path, name=str(cache.path), writing=True)
    try:
        content.publish(_index(layout, unpack(source, found, content), top))
        archive = Archive(content)
        archive.name = source.name
        archive.catalogue = whole_names(archive, choice)
        content.publish(archive.catalogue.index_bytes())
        archive.sweep()
    finally:
        content.close()
    if choice.keep_cache:
        logger.info("{} is kept: as an archive it needs no unpacking", cache.path)


def _layout(found: Survey) -> tuple[Layout, str]:
    """Return the kind of an archive, and the folder in it where it begins, ending in a slash."""
    for layout in Layout:
        tops = {name.removesuffix(layout.value) for name in found.members if _is(name, layout)}
        if tops:
            if len(tops) > 1 and "" not in tops:
                raise damaged(found.name, f"it has several files {layout.value}")
            return layout, min(tops)
    raise ArchiveDamaged(
        f"{found.name} holds no images: none of {', '.join(one.value for one in Layout)} is in it",
        advice="known are OCI image layouts, and what docker save writes",
    )


def _is(name: str, layout: Layout) -> bool:
    folder, _, last = name.rpartition("/")
    return last == layout.value and "/" not in folder


def _index(layout: Layout, blobs: Blobs, top: str) -> bytes:
    """Return index.json of the archive: its own, or an equivalent."""
    if layout is Layout.DOCKER:
        return docker_catalogue(blobs, top).index_bytes()
    if layout is Layout.PREDECESSOR:
        return predecessor_catalogue(blobs, top).index_bytes()
    stated = blobs.document(f"{top}{layout.value}")
    version = stated.get("imageLayoutVersion") if isinstance(stated, dict) else None
    if version != "1.0.0":
        raise damaged(blobs.name, f"it has the layout version {str(version)[:30]}, known is 1.0.0")
    content = blobs.read(f"{top}index.json")
    if len(content) > LONGEST_INDEX:
        raise damaged(blobs.name, "index.json has more than 64 MiB")
    return content
