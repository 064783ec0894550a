"""What images are called that have no whole name in their archive: only a tag, or nothing.

skopeo, oras and crane write such ones. They get the name that the user gives, else that of the
file; it is said which. Nobody guesses where two would get the same name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from loguru import logger

from image_tools.errors import ImageToolsError, InvalidReference, UsageError
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, parse
from image_tools.oci.reference import Reference, parse_tag
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.catalogue import REF_NAME, Catalogue
from image_tools.stores.archive.referring import subject_of

_ENDINGS = (".gz", ".zst", ".zstd", ".tar", ".tgz", ".tzst", ".oci", ".docker")
_MOST_SHOWN = 5


def named(archive: Archive, names: tuple[Reference, ...], path: Path) -> Catalogue:
    """The catalogue of `archive` with a whole name for every image.

    UsageError when it is not clear which image `names` mean, or what an image is to be called.
    """
    entries = [*_unnamed(archive)]
    if not entries:
        _refuse(archive, names)
        return archive.catalogue
    given = {name.digest: name for name in names if name.digest is not None}
    _refuse(archive, [given[digest] for digest in given.keys() - {e.digest for e in entries}])
    common = _common(archive, [name for name in names if name.digest is None], entries, given)
    catalogue, chosen = archive.catalogue, dict[Reference, Descriptor]()
    for entry in entries:
        reference = _name(entry, given.get(entry.digest) or common or _of_file(archive, path))
        known = catalogue.tags.get(reference)
        if known is not None and known.descriptor.digest != entry.digest:
            raise _unclear(archive, entries, f"two images would be called {reference}")
        if entry.digest not in given and common is None:
            chosen[reference] = entry
        catalogue = catalogue.named(entry, reference)
    for reference, entry in chosen.items():
        logger.info("{}: {} is called {} (--name)", archive.name, entry.digest, reference)
    return catalogue


def _unnamed(archive: Archive) -> Iterable[Descriptor]:
    """The nameless entries that are images: not what belongs to, or speaks about, another one."""
    candidates = dict[Descriptor, bool]()
    inner = set[Digest]()
    for entry in archive.catalogue.nameless:
        try:
            raw = archive.manifest(entry.digest)
            found, speaks = parse(raw), subject_of(raw) is not None
        except ImageToolsError:
            # It is missing or none: with a tag it has to be named, so that its loss is told.
            candidates[entry] = _tag(entry) is not None
            continue
        candidates[entry] = not speaks and not entry.is_attestation
        if isinstance(found, Index):
            inner |= {child.digest for child in found.entries}
    for entry, is_image in candidates.items():
        if _tag(entry) is not None or (is_image and entry.digest not in inner):
            yield entry


def _tag(entry: Descriptor) -> str | None:
    try:
        return parse_tag(dict(entry.annotations).get(REF_NAME, ""))
    except InvalidReference:
        return None


def _name(entry: Descriptor, name: Reference) -> Reference:
    return name.with_tag(name.tag or _tag(entry) or "latest")


def _common(
    archive: Archive,
    names: list[Reference],
    entries: list[Descriptor],
    given: dict[Digest, Reference],
) -> Reference | None:
    """The name for all images that have none of their own."""
    if not names:
        return None
    left = {entry.digest for entry in entries} - given.keys()
    if len(names) > 1 or (names[0].tag and len(left) > 1):
        raise _unclear(archive, entries, "it is not clear which image --name means")
    if not left:
        _refuse(archive, names)
    return names[0]


def _of_file(archive: Archive, path: Path) -> Reference:
    name = path.absolute().name.lower()
    while stem := next((name.removesuffix(e) for e in _ENDINGS if name.endswith(e)), None):
        name = stem
    try:
        return replace(Reference.parse(name), tag=None, digest=None)
    except InvalidReference as error:
        raise UsageError(
            f"{archive.name} holds an image without a name, and the file's is none for an image",
            advice="name the image: --name REPOSITORY[:TAG]",
        ) from error


def _refuse(archive: Archive, names: Iterable[Reference]) -> None:
    for name in names:
        raise UsageError(
            f"{archive.name}: no image without a name is left for --name {name}",
            advice="leave it out; archive ls shows what the images are called",
        )


def _unclear(archive: Archive, entries: Iterable[Descriptor], why: str) -> UsageError:
    digests = sorted({str(entry.digest) for entry in entries})
    more = ", …" if len(digests) > _MOST_SHOWN else ""
    return UsageError(
        f"{archive.name} holds images without a name: {', '.join(digests[:_MOST_SHOWN])}{more};"
        f" {why}",
        advice="name each of them: --name REPOSITORY:TAG@DIGEST",
    )
