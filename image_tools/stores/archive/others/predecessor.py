"""Archives of this program's predecessor: `saved-images-list.json`, and a layout per platform.

The newer of its two formats has image layouts (oci:) that share their blobs in `share`, the older
one skopeo's `dir:`. Each platform has a folder of its own. Their common index is made here, as the
predecessor made it when it loaded them.
"""

from __future__ import annotations

from typing import Any

from loguru import logger

from image_tools.errors import ImageToolsError, InvalidReference
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import (
    MAXIMUM_ENTRIES,
    MAXIMUM_MANIFEST_SIZE,
    Index,
    Manifest,
    RawManifest,
    index_bytes,
    parse,
)
from image_tools.oci.platform import Platform
from image_tools.oci.reference import Reference
from image_tools.stores.archive.catalogue import Catalogue
from image_tools.stores.archive.content import damaged
from image_tools.stores.archive.others.blobs import Blobs
from image_tools.stores.archive.others.tar import path_inside

LIST = "saved-images-list.json"
_PLATFORM_FIELDS = {"Arch": "architecture", "OS": "os", "Variant": "variant"}
_VERSION_FIELDS = ("OsVersion", "OSVersion")


def predecessor_catalogue(blobs: Blobs, top: str) -> Catalogue:
    """Return the images in the list under `top`, after storing their indexes.

    Raise ArchiveDamaged when the list is wrong.
    """
    catalogue = Catalogue()
    listed = _object(blobs, blobs.document(f"{top}{LIST}")).get("List")
    for stated in _objects(blobs, listed):
        reference = _reference(blobs, stated)
        if reference in catalogue.tags:
            raise damaged(blobs.name, f"{LIST} has {reference} twice")
        entries = [_entry(blobs, top, image) for image in _objects(blobs, stated.get("Images"))]
        # An image that could not be saved is listed without platforms.
        if entries:
            catalogue = catalogue.tagged(reference, _index(blobs, entries))
    return catalogue


def _object(blobs: Blobs, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise damaged(blobs.name, f"{LIST} is no list of saved images")
    return value


def _objects(blobs: Blobs, value: object) -> list[dict[str, Any]]:
    listed = [] if value is None else value
    if not isinstance(listed, list) or len(listed) > MAXIMUM_ENTRIES:
        raise damaged(blobs.name, f"{LIST} is no list of saved images")
    return [_object(blobs, one) for one in listed]


def _reference(blobs: Blobs, stated: dict[str, Any]) -> Reference:
    try:
        found = Reference.parse(f"{stated.get('Source')}:{stated.get('Tag') or 'latest'}")
    except InvalidReference as error:
        raise damaged(blobs.name, f"{LIST}: {error}") from error
    if not stated.get("Tag"):
        logger.warning("{}: {} states no tag: it is called {}", blobs.name, found.name, found)
    return found.with_tag(found.tag or "latest")


def _entry(blobs: Blobs, top: str, image: dict[str, Any]) -> Descriptor:
    folder = path_inside(blobs.name, f"{top}{image.get('Folder')}")
    is_layout = f"{folder}/index.json" in blobs.found.members
    digest = _of_layout(blobs, folder) if is_layout else blobs.digest(f"{folder}/manifest.json")
    if blobs.size(digest) > MAXIMUM_MANIFEST_SIZE:
        raise damaged(blobs.name, f"the manifest in {folder} is too big")
    with blobs.open(digest) as file:
        raw = RawManifest("", file.read(MAXIMUM_MANIFEST_SIZE))
    try:
        found = parse(raw)
    except ImageToolsError as error:
        raise damaged(blobs.name, f"{folder}: {error}") from error
    if not isinstance(found, Manifest):
        raise damaged(blobs.name, f"{folder} holds no image of one platform")
    fields = {key: image.get(name) for name, key in _PLATFORM_FIELDS.items()}
    versions = (image.get(name) for name in _VERSION_FIELDS)
    fields["os.version"] = next(filter(None, versions), None)
    return Descriptor(
        media_type=found.media_type,
        digest=digest,
        size=len(raw.content),
        platform=Platform.from_json(fields),
    )


def _of_layout(blobs: Blobs, folder: str) -> Digest:
    """Return the digest of the only manifest in an image layout."""
    document = _object(blobs, blobs.document(f"{folder}/index.json"))
    listed = _objects(blobs, document.get("manifests"))
    if len(listed) != 1:
        raise damaged(blobs.name, f"{folder} holds {len(listed)} images, and should hold one")
    try:
        entry = Descriptor.from_json(listed[0])
    except ImageToolsError as error:
        raise damaged(blobs.name, f"{folder}: {error}") from error
    if blobs.size(entry.digest) != entry.size:
        raise damaged(blobs.name, f"{folder}: {entry.digest} has not {entry.size} bytes")
    return entry.digest


def _index(blobs: Blobs, entries: list[Descriptor]) -> Descriptor:
    kind = media.index_type_for(frozenset(entry.media_type for entry in entries))
    content = index_bytes(Index(kind, tuple(entries)))
    digest = blobs.keep(content)
    return Descriptor(media_type=kind, digest=digest, size=len(content))
