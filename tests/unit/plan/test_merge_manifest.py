"""One image out of several: each platform once, attestations with their images."""

from __future__ import annotations

from dataclasses import replace

import pytest

from image_tools.errors import PlatformMissing, UsageError
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.manifest import RawManifest
from image_tools.plan.inputs import SourceImage
from image_tools.plan.merge_manifest import CombinedImage, CombinedSource, combine
from tests.helpers.descriptors import attestation, entry, platform


def part(
    name: str, *leaves: Descriptor, single: bool = False, artifact: bool = False
) -> CombinedSource:
    top = RawManifest(media.OCI_INDEX, name.encode())
    return CombinedSource(
        name, SourceImage(top=top, leaves=leaves, single=single, artifact=artifact)
    )


AMD, ARM, V7 = entry("amd"), entry("arm", "linux/arm64"), entry("v7", "linux/arm/v7")
OTHER_AMD = entry("other")
SAME_ARM = replace(ARM, platform=platform("linux/arm64/v8"))
AMD_AS_ARM = replace(AMD, platform=ARM.platform)
OLD, NEW = (entry(f"patch {n}", f"windows/amd64:10.0.17763.{n}") for n in (1, 2))
LATER = entry("later", "windows/amd64:10.0.20348.1")
OF_AMD, OF_ARM, ORPHAN = attestation("amd"), attestation("arm"), attestation("nobody")

# sources -> entries, and the source each comes from
UNITED = {
    "singles": ([[AMD], [ARM]], [AMD, ARM], [0, 1]),
    "order of the sources": ([[ARM], [V7], [AMD]], [ARM, V7, AMD], [0, 1, 2]),
    "index and single": ([[AMD, ARM], [V7]], [AMD, ARM, V7], [0, 0, 1]),
    "same image twice": ([[AMD], [AMD, ARM]], [AMD, ARM], [0, 1]),
    "same image, platform spelt otherwise": ([[ARM], [SAME_ARM]], [ARM], [0]),
    "attestations last": (
        [[AMD, OF_AMD], [ARM, OF_ARM]],
        [AMD, ARM, OF_AMD, OF_ARM],
        [0, 1, 0, 1],
    ),
    "attestation brought later": (
        [[AMD], [AMD, OF_AMD]],
        [AMD, OF_AMD],
        [0, 1],
    ),
    "attestation not taken away": (
        [[AMD, OF_AMD], [AMD], [ARM]],
        [AMD, ARM, OF_AMD],
        [0, 2, 0],
    ),
    "orphan left out": ([[AMD, ORPHAN], [ARM]], [AMD, ARM], [0, 1]),
    "windows versions": ([[OLD], [LATER]], [OLD, LATER], [0, 1]),
}


@pytest.mark.parametrize(("sources", "entries", "origins"), UNITED.values(), ids=UNITED)
def test_unite_has_every_platform_once(sources, entries, origins) -> None:
    parts = [part(f"s{at}", *leaves) for at, leaves in enumerate(sources)]

    found = combine(parts)

    assert list(found.image.leaves) == entries
    assert [found.origins[leaf.digest] for leaf in entries] == origins


# sources that contradict each other -> what is left with overwrite
CONFLICTS = {
    "two images": ([[AMD], [OTHER_AMD]], [OTHER_AMD]),
    "one of several": ([[AMD, ARM], [V7, OTHER_AMD]], [OTHER_AMD, ARM, V7]),
    "with its attestation": (
        [[AMD, ARM, OF_AMD], [OTHER_AMD]],
        [OTHER_AMD, ARM],
    ),
    "patch level of windows": ([[OLD], [NEW]], [NEW]),
    "known image for another platform": (
        [[AMD, ARM], [AMD_AS_ARM]],
        [AMD, AMD_AS_ARM],
    ),
    "third": ([[AMD], [ARM], [OTHER_AMD]], [OTHER_AMD, ARM]),
}


@pytest.mark.parametrize(("sources", "left"), CONFLICTS.values(), ids=CONFLICTS)
def test_unite_different_images_of_one_platform_are_refused(sources, left) -> None:
    parts = [part(f"s{at}", *leaves) for at, leaves in enumerate(sources)]

    with pytest.raises(UsageError) as caught:
        combine(parts)
    assert list(combine(parts, overwrite=True).image.leaves) == left
    last = parts[-1].image.leaves[-1]
    assert f"{last.platform} is sha256:" in caught.value.message
    assert f" in s0 and {last.digest} in s{len(parts) - 1}" in caught.value.message
    assert "--overwrite" in caught.value.advice


def test_unite_index_that_says_it_all_stays_byte_for_byte() -> None:
    whole = part("whole", AMD, ARM, OF_ARM)

    parts = (part("one", AMD, single=True), whole, part("other", ARM, single=True))

    assert combine(parts).image is whole.image
    assert combine(parts[:1]).image.single


def test_unite_single_image_becomes_an_index() -> None:
    one = part("one", AMD, single=True)

    found = combine([one, one])

    composed = SourceImage(top=one.image.top, leaves=(AMD,), single=True)
    assert found == CombinedImage(composed, {AMD.digest: 0})


@pytest.mark.parametrize(
    "wrong",
    [
        part("chart", entry("chart", ""), single=True, artifact=True),
        part("empty"),
        part("o", ORPHAN),
    ],
    ids=["artifact", "empty index", "attestation alone"],
)
def test_unite_source_without_platform_is_refused(wrong) -> None:
    with pytest.raises(PlatformMissing, match=f"{wrong.name}: it states no platform"):
        combine([part("one", AMD), wrong])
