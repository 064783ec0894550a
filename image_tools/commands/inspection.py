"""What can be told of an image without pulling it: its platforms, sizes, and what is signed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformImage:
    """One platform of an image.

    `size` is the sum of its blobs in bytes, `layers` their number, `created` what its config says;
    None and empty where nothing tells, or where it was not read. `present` is false where the
    registry does not have what the index lists.
    """

    platform: Platform
    digest: Digest
    media_type: str
    size: int | None = None
    layers: int | None = None
    created: str = ""
    attestations: tuple[str, ...] = ()
    present: bool = True
    blobs: tuple[Descriptor, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """This platform as a JSON object."""
        return {
            "platform": str(self.platform),
            "os": self.platform.os,
            "architecture": self.platform.architecture,
            "variant": self.platform.variant,
            "os_version": self.platform.os_version,
            "digest": str(self.digest),
            "media_type": self.media_type,
            "size": self.size,
            "layers": self.layers,
            "created": self.created,
            "attestations": list(self.attestations),
            "present": self.present,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A manifest that speaks about an image: `kind` is cosign's word or the artifact's type.

    `subject` is what it speaks about, the image or one of its platforms. `tag` is where it lies,
    empty for one that names its subject itself (a referrer).
    """

    kind: str
    digest: Digest
    subject: Digest
    tag: str = ""

    def to_json(self) -> dict[str, Any]:
        """This manifest as a JSON object."""
        return {
            "kind": self.kind,
            "digest": str(self.digest),
            "subject": str(self.subject),
            "tag": self.tag,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """One image: its top manifest, its platforms in order, what is attached to it.

    `orphans` are attestations of images the index does not list.
    """

    reference: str
    digest: Digest
    media_type: str
    images: tuple[PlatformImage, ...]
    orphans: tuple[str, ...] = ()
    attached: tuple[Attached, ...] = ()

    @property
    def size(self) -> int | None:
        """The bytes of all blobs, each counted once; None where not all are known."""
        if any(image.size is None for image in self.images):
            return None
        return sum_of(blob for image in self.images for blob in image.blobs)

    def to_json(self) -> dict[str, Any]:
        """The JSON object that scripts rely on, without schema and command."""
        return {
            "reference": self.reference,
            "digest": str(self.digest),
            "media_type": self.media_type,
            "size": self.size,
            "images": [image.to_json() for image in self.images],
            "orphaned_attestations": list(self.orphans),
            "attached": [found.to_json() for found in self.attached],
        }


def sum_of(blobs: Iterable[Descriptor]) -> int:
    """The bytes of `blobs`, each digest counted once."""
    return sum({blob.digest: blob.size for blob in blobs}.values())


def created_in(config: bytes) -> str:
    """The moment an image's config says it was made (RFC 3339); empty where it says none."""
    try:
        document = json.loads(config)
    except (ValueError, RecursionError):
        return ""
    created = document.get("created") if isinstance(document, dict) else None
    return created if isinstance(created, str) else ""
