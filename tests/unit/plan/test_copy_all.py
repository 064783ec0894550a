"""What one run of skopeo brings, and the index that leads it there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.manifest import Index, Manifest, RawManifest, parse
from image_tools.plan.copy_all import CopyAll, copy_all
from image_tools.plan.inputs import ChildManifest
from tests.helpers.descriptors import attestation, entry, index

AMD = entry("amd", annotations={"who": "said"})
ARM = entry("arm", "linux/arm/v7", media_type=media.DOCKER_MANIFEST)
NOTE = attestation("amd")


def child(descriptor: Descriptor) -> ChildManifest:
    raw = RawManifest(descriptor.media_type, f"{descriptor.digest}".encode())
    return ChildManifest(
        descriptor, raw, Manifest(descriptor.media_type, config=entry("config"), layers=())
    )


CHILDREN = (child(AMD), child(ARM))


def test_bundle_of_all_entries_is_the_image_itself():
    image = index(AMD, ARM)
    assert copy_all(CHILDREN, image, 2) == CopyAll(CHILDREN, image, is_image=True)


@pytest.mark.parametrize("image", [None, index(AMD, ARM, NOTE)])
def test_bundle_of_some_entries_is_listed_without_what_old_tools_do_not_know(image):
    made = copy_all(CHILDREN, image, 3)
    found = parse(made.index)
    assert not made.is_image
    assert found == Index(
        media.OCI_INDEX,
        tuple(replace(c.raw.descriptor, platform=c.descriptor.platform) for c in CHILDREN),
    )
    assert made.digests == {made.index.digest, *(c.digest for c in CHILDREN)}
