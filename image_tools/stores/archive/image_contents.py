"""The content of an image in an archive: all that it leads to, and what of that is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from image_tools.errors import ImageToolsError
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Manifest, RawManifest, config_platform
from image_tools.oci.platform import Platform
from image_tools.oci.reference import Reference
from image_tools.oci.tree import Fault, Parsed, everything, run_walk, walk
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.catalogue import subject_of

_LONGEST_CONFIG = 8 << 20


@dataclass(slots=True)
class ImageContents:
    """One image: its digest, the sizes in bytes of everything it leads to, and its platforms.

    `in_base` are the sizes of blobs it relies on that are kept elsewhere. `problems` say for each
    digest what is missing, has another size, or cannot be read. `foreign` are the addresses of
    foreign layers that are not here, which is no problem.
    """

    reference: Reference
    digest: Digest
    sizes: dict[Digest, int] = field(default_factory=dict)
    platforms: dict[Platform, None] = field(default_factory=dict)
    in_base: dict[Digest, int] = field(default_factory=dict)
    problems: dict[Digest, str] = field(default_factory=dict)
    foreign: dict[Digest, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_named(self) -> bool:
        """Return whether the image has a name: those of `contents_at` have none."""
        return bool(self.reference.repository)

    @property
    def name(self) -> str:
        """Return its reference, else its digest."""
        return str(self.reference if self.is_named else self.digest)


def contents_at(archive: Archive, digest: Digest) -> ImageContents:
    """Return the contents of an entry that has no name, only a digest."""
    found = ImageContents(Reference("", "", None, digest), digest)
    _walk(archive, found)
    return found


def contents(archive: Archive) -> Iterator[ImageContents]:
    """Yield the contents of each tag of the archive, sorted by name."""
    for reference in archive.images:
        if (found := contents_of(archive, reference)) is not None:
            yield found


def contents_of(archive: Archive, reference: Reference) -> ImageContents | None:
    """Return the contents of one tag, None when there is no such tag."""
    entry = archive.tagged(reference)
    if entry is None:
        return None
    found = ImageContents(reference, entry.digest)
    _walk(archive, found)
    return found


def _walk(archive: Archive, found: ImageContents) -> None:
    def look(entry: Descriptor, raw: RawManifest, parsed: Parsed) -> None:
        found.sizes[entry.digest] = len(raw.content)
        if isinstance(parsed, Manifest):
            _look(archive, found, parsed)
            _note_platform(archive, found, entry, parsed)

    try:
        top = archive.manifest(found.digest)
        asking = walk(top, digest=found.digest, wants=everything, on_manifest=look)
        tree = run_walk(asking, lambda entry: archive.manifest(entry.digest))
    except ImageToolsError as error:
        found.problems[found.digest] = str(error)
        return
    for problem in tree.problems:
        if problem.fault is not Fault.MISSTATED:
            found.problems[problem.entry.digest] = str(problem.error)


def _note_platform(
    archive: Archive, found: ImageContents, entry: Descriptor, manifest: Manifest
) -> None:
    stated = Platform() if entry.is_attestation else entry.platform
    if (known := stated if stated.is_known else _stated(archive, manifest)).is_known:
        found.platforms[known] = None


def _look(archive: Archive, found: ImageContents, manifest: Manifest) -> None:
    far = {layer.digest for layer in manifest.foreign}
    for blob in (*manifest.blobs, *manifest.foreign):
        size = archive.content.size(blob.digest)
        if size is None and archive.base_sizes.get(blob.digest) == blob.size:
            found.in_base[blob.digest] = blob.size
        elif size is None and blob.digest in far - {*archive.damaged}:
            found.foreign[blob.digest] = blob.urls
        elif size is None:
            found.problems[blob.digest] = "it is missing"
        elif size != blob.size:
            found.problems[blob.digest] = f"it has {size} bytes, and should have {blob.size}"
        else:
            found.sizes[blob.digest] = size


def _stated(archive: Archive, manifest: Manifest) -> Platform:
    """Return the platform in an image's config; an unknown one when it cannot be read."""
    if manifest.config is None or not manifest.is_image:
        return Platform()
    size = archive.content.size(manifest.config.digest)
    if size is None or size > _LONGEST_CONFIG:
        return Platform()
    try:
        with archive.content.open(manifest.config.digest) as file:
            return config_platform(file.read())
    except ImageToolsError:
        return Platform()


def incomplete_images(archive: Archive) -> frozenset[Reference]:
    """Return the tags that lead to something missing, and those whose referrers do.

    The tags that cosign adds to an image (`sha256-HEX.sig`) are among them.
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
            if subject and not archive.is_whole(entry.digest, with_base=True):
                found.add(subject)
        except ImageToolsError:
            # Its subject is unknown now: it may be any image.
            found |= {tagged.descriptor.digest for tagged in archive.catalogue.tags.values()}
    return found
