"""The input of a plan: what was read of both sides, and the options of the user."""

from __future__ import annotations

from dataclasses import dataclass, field

from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Manifest, RawManifest
from image_tools.plan.selection import EVERYTHING, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceImage:
    """An image at its source.

    `leaves` are its platform manifests and attestations in order, with nested indexes opened; an
    entry without a platform has the one of its config. `nested` are the opened indexes, innermost
    first. `single`: the tag leads to a manifest, not to an index. `artifact`: the manifest states
    no platform (a chart, a signature).
    """

    top: RawManifest
    leaves: tuple[Descriptor, ...]
    nested: tuple[RawManifest, ...] = ()
    single: bool = False
    artifact: bool = False


@dataclass(frozen=True, slots=True)
class DestinationImage:
    """The content of the destination's tag; a single manifest is its own entry.

    `lost` are the entries whose manifest is gone; they are not among `entries`.
    """

    top: RawManifest
    entries: tuple[Descriptor, ...]
    is_index: bool
    lost: tuple[Descriptor, ...] = ()


@dataclass(frozen=True, slots=True)
class ChildManifest:
    """A wanted entry and its manifest."""

    descriptor: Descriptor
    raw: RawManifest
    manifest: Manifest = field(compare=False)

    @property
    def digest(self) -> Digest:
        """Return the digest of the manifest."""
        return self.descriptor.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """The wishes of the user, and the known state of the destination.

    Entries that `selection` excludes stay at the destination, unless `overwrite`. `keep_single`:
    publish a single manifest without an index where none is needed. `present` are the children that
    the destination already has, `lost` those whose content is gone there.
    """

    selection: Selection = EVERYTHING
    overwrite: bool = False
    force: bool = False
    keep_single: bool = False
    present: frozenset[Digest] = frozenset()
    lost: frozenset[Digest] = frozenset()
