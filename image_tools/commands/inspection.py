"""The description of an image: its platforms, their sizes, its signatures and attestations."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform
from image_tools.report import json_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformImage:
    """One platform of an image.

    `size` is the sum of its blobs in bytes, `layers` the number of its layers, `created` the date
    in its config; None and empty where it is unknown or was not read. `present` is false where
    the registry lacks what the index lists.
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
        """Return the platform as a JSON object."""
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
    """A manifest about an image; `kind` is cosign's name for it or the artifact's type.

    `subject` is the image or the platform that it is about. `tag` is its tag, empty for a
    referrer, which names its subject itself.
    """

    kind: str
    digest: Digest
    subject: Digest
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """One image: its top manifest, its platforms in the order of the index, and what is attached.

    `orphans` are attestations of images that the index does not list.
    """

    reference: str
    digest: Digest
    media_type: str
    images: tuple[PlatformImage, ...]
    orphans: tuple[str, ...] = ()
    attached: tuple[Attached, ...] = ()

    @property
    def size(self) -> int | None:
        """Return the size of all blobs in bytes, each counted once; None where some are unknown."""
        if any(image.size is None for image in self.images):
            return None
        return sum_of(blob for image in self.images for blob in image.blobs)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that scripts rely on, without schema and command."""
        return {
            "reference": self.reference,
            "digest": str(self.digest),
            "media_type": self.media_type,
            "size": self.size,
            "images": [image.to_json() for image in self.images],
            "orphaned_attestations": list(self.orphans),
            "attached": [json_of(found) for found in self.attached],
        }


def sum_of(blobs: Iterable[Descriptor]) -> int:
    """Return the size of `blobs` in bytes, each digest counted once."""
    return sum({blob.digest: blob.size for blob in blobs}.values())


def created_in(config: bytes) -> str:
    """Return the creation date in the config of an image (RFC 3339); empty without one."""
    try:
        document = json.loads(config)
    except (ValueError, RecursionError):
        return ""
    created = document.get("created") if isinstance(document, dict) else None
    return created if isinstance(created, str) else ""
