"""Several children of one image for one `skopeo copy --all`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, RawManifest, index_bytes
from image_tools.plan.inputs import ChildManifest


@dataclass(frozen=True, slots=True)
class CopyAll:
    """The `children` that one `skopeo copy --all` copies, and the `index` that lists them.

    `is_image`: the index is the content of the tag. Otherwise it lists only the missing children,
    and never reaches the destination.
    """

    children: tuple[ChildManifest, ...]
    index: RawManifest
    is_image: bool

    @property
    def digests(self) -> frozenset[Digest]:
        """Return the digests of all manifests that skopeo pushes."""
        return frozenset({self.index.digest, *(child.digest for child in self.children)})


def copy_all(
    children: tuple[ChildManifest, ...], image: RawManifest | None, entries: int
) -> CopyAll:
    """Return one copy of `children`: of the index `image` if they are all its `entries`."""
    if image is not None and entries == len(children):
        return CopyAll(children, image, is_image=True)
    return CopyAll(children, _listed(children), is_image=False)


def _listed(children: tuple[ChildManifest, ...]) -> RawManifest:
    # skopeo refuses an index with a wrong type or size, which the source's may state. Old versions
    # of skopeo know few fields of an entry.
    plain = (
        replace(child.raw.descriptor, platform=child.descriptor.platform) for child in children
    )
    index = Index(media.OCI_INDEX, tuple(plain))
    return RawManifest(index.media_type, index_bytes(index))
