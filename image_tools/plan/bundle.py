"""Several children of one image for one tool run, and the index that leads to them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, RawManifest, index_bytes
from image_tools.plan.images import ChildManifest


@dataclass(frozen=True, slots=True)
class Bundle:
    """What one `skopeo copy --all` brings: `children`, listed by `index`.

    `is_image`: the index is what the tag is to hold. Else it is a mere list of what is missing,
    which nobody is to find at the destination.
    """

    children: tuple[ChildManifest, ...]
    index: RawManifest
    is_image: bool

    @property
    def digests(self) -> frozenset[Digest]:
        """The digests of all manifests a tool pushes for it."""
        return frozenset({self.index.digest, *(child.digest for child in self.children)})


def bundle(children: tuple[ChildManifest, ...], image: RawManifest | None, entries: int) -> Bundle:
    """The bundle of `children`; it is the `image` itself where all its `entries` are among them."""
    if image is not None and entries == len(children):
        return Bundle(children, image, is_image=True)
    return Bundle(children, _listed(children), is_image=False)


def _listed(children: tuple[ChildManifest, ...]) -> RawManifest:
    """An index of what these manifests are, whatever the source's says of their type and size.

    skopeo refuses an index whose entries are not what it finds; and old ones know few fields.
    """
    plain = (
        replace(child.raw.descriptor, platform=child.descriptor.platform) for child in children
    )
    index = Index(media.OCI_INDEX, tuple(plain))
    return RawManifest(index.media_type, index_bytes(index))
