"""Archives that know what is lent to them."""

from __future__ import annotations

from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.content import Content
from image_tools.stores.archive.inventory import relied_on


def archive_of(content: Content, *, writing: bool = False, anew: bool = False) -> Archive:
    """The archive of an open content, which is closed when it is none; ArchiveDamaged then."""
    try:
        archive = Archive(content, writing=writing, anew=anew)
        archive.lent = {} if anew else relied_on(archive).sizes
    except BaseException:
        content.close()
        raise
    return archive
