"""A small file that says what an archive or a registry elsewhere already holds.

JSON: `images` with their digests, origins, and the positions of their blobs in `blobs`, which are
pairs of digest and size in bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from image_tools.errors import ArchiveDamaged, DigestMismatch, ImageToolsError
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference
from image_tools.stores.archive.archive import Archive, damaged_blob
from image_tools.stores.archive.catalogue import Origin
from image_tools.stores.archive.image_contents import contents

KIND = "image-tools inventory"
SCHEMA = 1
MEDIA_TYPE = "application/vnd.image-tools.inventory.v1+json"
LARGEST = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldImage:
    """An image that is held: its digest, its origin where known, and its blobs."""

    reference: Reference
    digest: Digest
    blobs: tuple[Digest, ...] = ()
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """The content of `name`: images, and the sizes in bytes of all blobs and manifests.

    `read_from` are the repositories of a registry that were just asked; it is in no file.
    """

    name: str
    images: Mapping[Reference, HeldImage] = field(default_factory=dict)
    sizes: Mapping[Digest, int] = field(default_factory=dict)
    read_from: tuple[Reference, ...] = field(default=(), compare=False)

    def holders(self) -> dict[Digest, tuple[Reference, ...]]:
        """Return for each blob the images that have it."""
        found: dict[Digest, list[Reference]] = {}
        for held in self.images.values():
            for digest in held.blobs:
                found.setdefault(digest, []).append(held.reference)
        return {digest: tuple(references) for digest, references in found.items()}

    def only(self, blobs: Iterable[Digest]) -> Inventory:
        """Return the part of this inventory that is about `blobs`."""
        kept = {digest: self.sizes[digest] for digest in blobs if digest in self.sizes}
        images = {}
        for reference, held in self.images.items():
            if here := tuple(digest for digest in held.blobs if digest in kept):
                images[reference] = HeldImage(reference=reference, digest=held.digest, blobs=here)
        return Inventory(self.name, images, kept)

    def to_bytes(self) -> bytes:
        """Return the content of an inventory file."""
        places = {digest: place for place, digest in enumerate(self.sizes)}
        document = {
            "schema": SCHEMA,
            "kind": KIND,
            "name": self.name,
            "images": [_image(self.images[reference], places) for reference in sorted(self.images)],
            "blobs": [[str(digest), size] for digest, size in self.sizes.items()],
        }
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def inventory_of(archive: Archive) -> Inventory:
    """Return the inventory of an archive, without what is missing of an image."""
    images, sizes = dict[Reference, HeldImage](), dict[Digest, int]()
    for found in contents(archive):
        sizes.update(found.sizes)
        images[found.reference] = HeldImage(
            reference=found.reference,
            digest=found.digest,
            blobs=tuple(found.sizes),
            origin=archive.origin(found.reference),
        )
    return Inventory(archive.name, images, sizes)


def relied_on(archive: Archive) -> Inventory:
    """Return what an archive relies on, empty for a whole one; raise ArchiveDamaged."""
    digest = archive.catalogue.relied
    if digest is None:
        return Inventory(archive.name)
    size = archive.content.size(digest)
    if size is None or size > LARGEST:
        raise ArchiveDamaged(f"{archive.name}: the list of what it relies on is missing")
    with archive.content.open(digest) as file:
        content = file.read()
    try:
        digest.verify(content)
    except DigestMismatch as error:
        raise damaged_blob(archive.name, digest) from error
    return parse_inventory(content, f"{archive.name}: {digest}")


def note_relied(archive: Archive, bases: Iterable[Inventory]) -> None:
    """Record which of the blobs of `bases` the images of an archive rely on."""
    needed: dict[Digest, int] = {}
    for found in contents(archive):
        needed.update(found.in_base)
    if not needed:
        if archive.catalogue.relied is not None:
            archive.rely_on(None)
        return
    images, names = dict[Reference, HeldImage](), []
    for base in bases:
        part = base.only(needed)
        images.update(part.images)
        names += [base.name] if part.sizes else []
    record = Inventory(" and ".join(names), images, needed)
    archive.rely_on(RawManifest(MEDIA_TYPE, record.to_bytes()))


def parse_inventory(content: bytes, name: str) -> Inventory:
    """Return the inventory in a file's bytes; raise ArchiveDamaged, which names `name`."""
    if len(content) > LARGEST:
        raise ArchiveDamaged(f"{name}: {len(content)} bytes are too many for an inventory")
    try:
        document = json.loads(content)
        if document["kind"] != KIND or document["schema"] != SCHEMA:
            raise ValueError(f"its kind is {document['kind']!r}, its schema {document['schema']!r}")
        pairs = [(Digest.parse(text), _size(size)) for text, size in document["blobs"]]
        digests = [digest for digest, _ in pairs]
        images = [_held(fields, digests) for fields in document["images"]]
        stated = str(document["name"])
    except (ImageToolsError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise ArchiveDamaged(f"{name} is no inventory: {error}") from error
    return Inventory(stated, {held.reference: held for held in images}, dict(pairs))


def _image(held: HeldImage, places: Mapping[Digest, int]) -> dict[str, Any]:
    origin = held.origin
    known = (
        {}
        if origin is None
        else {
            "source": origin.source,
            "source_digest": str(origin.digest),
            "selection": origin.selection,
        }
    )
    return {
        "reference": str(held.reference),
        "digest": str(held.digest),
        **known,
        "blobs": [places[digest] for digest in held.blobs if digest in places],
    }


def _held(fields: Mapping[str, Any], digests: list[Digest]) -> HeldImage:
    origin = None
    if "source" in fields:
        digest = Digest.parse(fields["source_digest"])
        origin = Origin(str(fields["source"]), digest, str(fields["selection"]))
    places = [_size(place) for place in fields["blobs"]]
    return HeldImage(
        reference=Reference.parse(fields["reference"]),
        digest=Digest.parse(fields["digest"]),
        blobs=tuple(digests[place] for place in places),
        origin=origin,
    )


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no size")
    return value
