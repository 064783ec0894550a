"""`inventory` and `archive inventory`: list what a registry or an archive holds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from loguru import logger

from image_tools.commands.opening import Opening, ask_each
from image_tools.errors import ImageToolsError
from image_tools.imagelist.entry import Entry
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Manifest, RawManifest
from image_tools.oci.reference import Reference
from image_tools.oci.tree import Fault, Parsed, everything
from image_tools.run.reader import Reader, Repository
from image_tools.stores.archive.inventory import HeldImage, Inventory, inventory_of
from image_tools.stores.archive.opening import read_archive
from image_tools.stores.archive.others.cache import Foreign


def archive_inventory(path: Path) -> Inventory:
    """Return what the archive at `path` holds.

    Raise ArchiveDamaged or UsageError when it is none.
    """
    archive = read_archive(path, foreign=Foreign(lenient=True))
    try:
        return inventory_of(archive)
    finally:
        archive.close()


def inventory(entries: Iterable[Entry], name: str, opening: Opening) -> Inventory:
    """Return what the destinations of `entries` hold, by the names these images have in archives.

    An image that does not exist is left out. Raise the error of a registry that cannot be read.
    """
    return opening.run(_inventory(entries, name, opening))


async def _inventory(entries: Iterable[Entry], name: str, opening: Opening) -> Inventory:
    entries, reader = tuple(entries), Reader()
    opening.expect([entry.destination for entry in entries])
    sizes: dict[Digest, int] = {}
    found = await ask_each(entries, lambda entry: _held(entry, opening, reader, sizes))
    images = {held.reference: held for held in found if held is not None}
    return Inventory(name, images, sizes, tuple(entry.destination for entry in entries))


async def _held(
    entry: Entry, opening: Opening, reader: Reader, sizes: dict[Digest, int]
) -> HeldImage | None:
    place = entry.destination
    store = opening.source(place.registry)
    head = await store.manifest_head(place.repository, place.tag or "latest")
    if head is None:
        logger.info("{}: not there", place)
        return None
    blobs: dict[Digest, int] = {}
    try:
        await _walk(reader, Repository(store, place.repository), head.digest, blobs)
    except ImageToolsError as error:
        logger.warning("{}: left out: {}", place, error)
        return None
    sizes.update(blobs)
    source = entry.source
    reference = Reference(source.registry, source.repository, source.tag or place.tag)
    return HeldImage(reference=reference, digest=head.digest, blobs=tuple(blobs))


async def _walk(
    reader: Reader, repository: Repository, digest: Digest, blobs: dict[Digest, int]
) -> None:
    """Add the sizes of all manifests and blobs that `digest` leads to to `blobs`."""

    def look(entry: Descriptor, raw: RawManifest, found: Parsed) -> None:
        blobs[entry.digest] = len(raw.content)
        if isinstance(found, Manifest):
            blobs.update({blob.digest: blob.size for blob in found.blobs})

    top = await reader.manifest(repository, digest)
    tree = await reader.tree(repository, top, digest=digest, wants=everything, on_manifest=look)
    tree.checked(Fault.MISSTATED)
