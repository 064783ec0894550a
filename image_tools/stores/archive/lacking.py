"""Which images of an archive something is missing of."""

from __future__ import annotations

from image_tools.errors import ImageToolsError
from image_tools.oci.digest import Digest
from image_tools.oci.reference import Reference
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.contents import contents
from image_tools.stores.archive.referring import subject_of


def lacking(archive: Archive) -> frozenset[Reference]:
    """The tags that lead to something missing, and those whose signatures or referrers do.

    The tags that cosign lays beside an image (`sha256-HEX.sig`) are among them.
    """
    found = tuple(contents(archive))
    broken = {image.reference for image in found if image.problems}
    subjects = {(tag.name, tag.tag or "") for tag in broken}
    speakers = _subjects_of_broken_referrers(archive)
    for image in found:
        digests = {*image.sizes, *image.problems}
        named = any((image.reference.name, tag) in subjects for tag in _tags_beside(digests))
        if named or speakers & digests:
            broken.add(image.reference)
    return frozenset(broken)


def _tags_beside(digests: set[Digest]) -> list[str]:
    ends = ("", ".sig", ".att", ".sbom")
    return [f"{digest.as_tag}{end}" for digest in digests for end in ends]


def _subjects_of_broken_referrers(archive: Archive) -> set[Digest]:
    found = set[Digest]()
    for entry in archive.catalogue.nameless:
        try:
            subject = subject_of(archive.manifest(entry.digest))
            if subject and not archive.is_whole(entry.digest, lent=True):
                found.add(subject)
        except ImageToolsError:
            # Nobody knows any more what it speaks about.
            found |= {tagged.descriptor.digest for tagged in archive.catalogue.tags.values()}
    return found
