"""What was read of both sides, in the shape a comparison decides on."""

from __future__ import annotations

from dataclasses import dataclass

from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class AtSource:
    """An image at its source.

    `leaves` are its platform manifests and attestations in order, nested indexes opened, each
    platform completed from the config where its entry does not state one. `is_index` is False
    where the tag leads to a single manifest, which is its own leaf then.
    """

    digest: Digest
    leaves: tuple[Descriptor, ...]
    is_index: bool

    @property
    def is_artifact(self) -> bool:
        """Return whether it is a single manifest without a platform: a chart, a signature."""
        return not self.is_index and not any(leaf.platform.is_known for leaf in self.leaves)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtDestination:
    """What is under the destination's tag; the fields are as in `AtSource`."""

    digest: Digest
    media_type: str
    leaves: tuple[Descriptor, ...]
    is_index: bool
