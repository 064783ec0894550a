"""Which platforms a selection wants, and which entries of an image."""

from __future__ import annotations

import pytest

from image_tools.plan.merge import select
from image_tools.plan.selection import Selection
from tests.helpers.descriptors import UNKNOWN, attestation, entry, platform

DEFAULT = Selection()
ALL = Selection(architectures=None, systems=None)


def arch(*names: str, variants: tuple[str, ...] | None = None) -> Selection:
    chosen = frozenset(variants) if variants is not None else None
    return Selection(architectures=frozenset(names), systems=None, variants=chosen)


MATCHES = {
    "default-amd64": (DEFAULT, "linux/amd64", True),
    "default-arm64-v8": (DEFAULT, "linux/arm64/v8", True),
    "default-amd64-v3": (DEFAULT, "linux/amd64/v3", True),
    "default-other-name": (DEFAULT, "linux/x86_64", True),
    "default-other-name-arm": (DEFAULT, "linux/aarch64", True),
    "default-arm": (DEFAULT, "linux/arm/v7", False),
    "default-windows": (DEFAULT, "windows/amd64:10.0.1", False),
    "default-unstated": (DEFAULT, "", True),
    "default-unknown": (DEFAULT, "unknown/unknown", False),
    "all-windows": (ALL, "windows/amd64:10.0.1", True),
    "all-unknown": (ALL, "unknown/unknown", True),
    "arm": (arch("arm"), "linux/arm/v6", True),
    "arm-armhf": (arch("arm"), "linux/armhf", True),
    "arm-is-not-arm64": (arch("arm"), "linux/arm64", False),
    "v7": (arch("arm", variants=("v7",)), "linux/arm/v7", True),
    "v7-number": (arch("arm", variants=("v7",)), "linux/arm/7", True),
    "v7-unstated": (arch("arm", variants=("v7",)), "linux/arm", True),
    "v7-not-v6": (arch("arm", variants=("v7",)), "linux/arm/v6", False),
    "v6-armel": (arch("arm", variants=("v6",)), "linux/armel", True),
    "v7-as-written": (arch("arm", variants=("7",)), "linux/arm/7", True),
    "v8-unstated": (arch("arm64", variants=("v8",)), "linux/arm64", True),
    "v8-number": (arch("arm64", variants=("v8",)), "linux/arm64/8", True),
    "v9": (arch("arm64", variants=("v8",)), "linux/arm64/v9", False),
    "variant-means-nothing-to-amd64": (arch("amd64", variants=("v7",)), "linux/amd64", True),
    "variant-of-amd64": (arch("amd64", variants=("v7",)), "linux/amd64/v3", False),
    "v1-of-amd64": (arch("amd64", variants=("v1",)), "linux/amd64/v1", True),
    "no-variants-are-all": (arch("arm", variants=()), "linux/arm/v6", True),
}


@pytest.mark.parametrize(("selection", "where", "expected"), MATCHES.values(), ids=MATCHES)
def test_matches_platform_as_wanted(selection, where, expected) -> None:
    assert selection.matches(platform(where)) is expected


KEYS = {
    "default": (DEFAULT, "amd64,arm64/linux/*+attestations"),
    "all": (ALL, "*/*/*+attestations"),
    "variants": (arch("b", "a", variants=("v7", "v6")), "a,b/*/v6,v7+attestations"),
    "no-attestations": (Selection(attestations=False), "amd64,arm64/linux/*"),
}


@pytest.mark.parametrize(("selection", "expected"), KEYS.values(), ids=KEYS)
def test_key_of_a_selection_is_stable(selection, expected) -> None:
    assert selection.key == expected


AMD, ARM, S390 = entry("amd"), entry("arm", "linux/arm64"), entry("s390", "linux/s390x")
WITHOUT = Selection(attestations=False)
ARTIFACT = entry("sbom", UNKNOWN)
SELECTED = {
    "nothing": (DEFAULT, (), ()),
    "none-wanted": (DEFAULT, (S390, attestation("s390")), ()),
    "keeps-the-order": (DEFAULT, (ARM, S390, AMD), (ARM, AMD)),
    "attestations-in-place": (
        DEFAULT,
        (attestation("arm"), AMD, S390, attestation("s390"), ARM),
        (attestation("arm"), AMD, ARM),
    ),
    "no-attestations": (WITHOUT, (AMD, attestation("amd")), (AMD,)),
    "orphan": (ALL, (AMD, attestation("gone")), (AMD,)),
    "attestation-of-an-attestation": (
        ALL,
        (AMD, attestation("amd", "x"), attestation("x")),
        (AMD, attestation("amd", "x")),
    ),
    "two-attestations": (
        DEFAULT,
        (AMD, attestation("amd", "x"), attestation("amd", "y")),
        (AMD, attestation("amd", "x"), attestation("amd", "y")),
    ),
    "one-digest-two-platforms": (
        DEFAULT,
        (entry("same"), entry("same", "linux/s390x"), entry("same", "linux/arm64")),
        (entry("same"), entry("same", "linux/arm64")),
    ),
    "said-twice": (DEFAULT, (AMD, AMD), (AMD, AMD)),
    "unknown-that-is-no-attestation": (DEFAULT, (AMD, ARTIFACT), (AMD,)),
    "unknown-with-all": (ALL, (AMD, ARTIFACT), (AMD, ARTIFACT)),
    "unstated": (DEFAULT, (entry("x", ""),), (entry("x", ""),)),
}


@pytest.mark.parametrize(("selection", "leaves", "expected"), SELECTED.values(), ids=SELECTED)
def test_select_entries_with_their_attestations(selection, leaves, expected) -> None:
    assert select(leaves, selection) == expected
