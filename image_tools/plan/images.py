"""What was read of both sides, in the shape the plan decides on."""

from __future__ import annotations

from dataclasses import dataclass, field

from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Manifest, RawManifest


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceImage:
    """An image at its source.

    `leaves` are its platform manifests and attestations in order, nested indexes opened, each
    platform completed from the config where the entry stated none; `nested` are the opened
    indexes, innermost first. `single` is true for a manifest that was no index; `artifact` for
    one that states no platform at all (a chart, a signature).
    """

    top: RawManifest
    leaves: tuple[Descriptor, ...]
    nested: tuple[RawManifest, ...] = ()
    single: bool = False
    artifact: bool = False


@dataclass(frozen=True, slots=True)
class DestinationImage:
    """What lies under the destination's tag: its entries; a single manifest is its own entry.

    `lost` are the entries that lead to nothing any more; they are not among `entries`.
    """

    top: RawManifest
    entries: tuple[Descriptor, ...]
    is_index: bool
    lost: tuple[Descriptor, ...] = ()


@dataclass(frozen=True, slots=True)
class ChildManifest:
    """One wanted entry together with its manifest."""

    descriptor: Descriptor
    raw: RawManifest
    manifest: Manifest = field(compare=False)

    @property
    def digest(self) -> Digest:
        """The digest of the child's manifest."""
        return self.descriptor.digest
