"""Which platforms a selection wants, and which entries of an image."""

from __future__ import annotations

import pytest

from image_tools.plan.merge import select, staying
from image_tools.plan.selection import Fit, Selection
from tests.helpers.descriptors import UNKNOWN, attestation, entry, platform

DEFAULT = Selection()
ALL = Selection(architectures=None, systems=None)


def arch(*names: str, variants: tuple[str, ...] | None = None) -> Selection:
    chosen = frozenset(variants) if variants is not None else None
    return Selection(architectures=frozenset(names), systems=None, variants=chosen)


YES, UNSTATED, NO = Fit.CHOSEN, Fit.UNSTATED, Fit.EXCLUDED
FITS = {
    "default-amd64": (DEFAULT, "linux/amd64", YES),
    "default-arm64-v8": (DEFAULT, "linux/arm64/v8", YES),
    "default-amd64-v3": (DEFAULT, "linux/amd64/v3", YES),
    "default-other-name": (DEFAULT, "linux/x86_64", YES),
    "default-other-name-arm": (DEFAULT, "linux/aarch64", YES),
    "default-arm": (DEFAULT, "linux/arm/v7", NO),
    "default-windows": (DEFAULT, "windows/amd64:10.0.1", NO),
    "default-unstated": (DEFAULT, "", UNSTATED),
    "default-no-architecture": (DEFAULT, "linux/", UNSTATED),
    "default-other-system-no-architecture": (DEFAULT, "windows/", NO),
    "all-unstated": (ALL, "", YES),
    "default-unknown": (DEFAULT, "unknown/unknown", NO),
    "all-windows": (ALL, "windows/amd64:10.0.1", YES),
    "all-unknown": (ALL, "unknown/unknown", YES),
    "arm": (arch("arm"), "linux/arm/v6", YES),
    "arm-armhf": (arch("arm"), "linux/armhf", YES),
    "arm-is-not-arm64": (arch("arm"), "linux/arm64", NO),
    "v7": (arch("arm", variants=("v7",)), "linux/arm/v7", YES),
    "v7-number": (arch("arm", variants=("v7",)), "linux/arm/7", YES),
    "v7-unstated": (arch("arm", variants=("v7",)), "linux/arm", YES),
    "v7-not-v6": (arch("arm", variants=("v7",)), "linux/arm/v6", NO),
    "v6-armel": (arch("arm", variants=("v6",)), "linux/armel", YES),
    "v7-as-written": (arch("arm", variants=("7",)), "linux/arm/7", YES),
    "v8-unstated": (arch("arm64", variants=("v8",)), "linux/arm64", YES),
    "v8-number": (arch("arm64", variants=("v8",)), "linux/arm64/8", YES),
    "v9": (arch("arm64", variants=("v8",)), "linux/arm64/v9", NO),
    "variant-means-nothing-to-amd64": (arch("amd64", variants=("v7",)), "linux/amd64", YES),
    "variant-of-amd64": (arch("amd64", variants=("v7",)), "linux/amd64/v3", NO),
    "v1-of-amd64": (arch("amd64", variants=("v1",)), "linux/amd64/v1", YES),
    "no-variants-are-all": (arch("arm", variants=()), "linux/arm/v6", YES),
}


@pytest.mark.parametrize(("selection", "where", "expected"), FITS.values(), ids=FITS)
def test_fit_of_a_platform(selection, where, expected) -> None:
    assert selection.fit(platform(where)) is expected


MISSING = {
    "all-there": (DEFAULT, ("linux/amd64", "linux/arm64/v8"), ()),
    "one-missing": (DEFAULT, ("linux/amd64", "linux/s390x"), ("linux/arm64",)),
    "of-another-system": (DEFAULT, ("linux/amd64", "windows/arm64"), ("linux/arm64",)),
    "nothing-there": (DEFAULT, (), ("linux/amd64", "linux/arm64")),
    "nothing-is-named": (ALL, (), ()),
    "no-system-is-named": (arch("amd64", "arm"), ("windows/amd64",), ("arm",)),
    "no-architecture-is-named": (
        Selection(architectures=None, systems=frozenset({"linux", "windows"})),
        ("linux/s390x",),
        ("windows",),
    ),
    "other-spelling": (DEFAULT, ("linux/x86_64", "linux/aarch64"), ()),
    "variant-there": (arch("arm", variants=("v7",)), ("linux/arm",), ()),
    "variant-missing": (
        arch("arm", variants=("v6", "v7")),
        ("linux/arm/v7",),
        ("variant v6",),
    ),
    "unstated-is-none": (DEFAULT, ("linux/amd64", "linux/"), ("linux/arm64",)),
}


@pytest.mark.parametrize(("selection", "there", "expected"), MISSING.values(), ids=MISSING)
def test_missing_names_each_platform_that_is_not_there(selection, there, expected) -> None:
    assert selection.missing(map(platform, there)) == expected


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
SBOM = entry("bom", "linux/")
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
    "orphan-beside-what-is-left-out": (DEFAULT, (AMD, S390, attestation("gone")), (AMD,)),
    "orphan-where-nothing-is-left-out": (
        DEFAULT,
        (AMD, attestation("gone")),
        (AMD, attestation("gone")),
    ),
    "orphan-with-all": (ALL, (AMD, attestation("gone")), (AMD, attestation("gone"))),
    "orphan-without-attestations": (WITHOUT, (AMD, attestation("gone")), (AMD,)),
    "only-attestations": (DEFAULT, (attestation("gone"),), ()),
    "only-attestations-with-all": (ALL, (attestation("gone"),), (attestation("gone"),)),
    "attestation-of-an-attestation": (
        DEFAULT,
        (AMD, S390, attestation("amd", "x"), attestation("x")),
        (AMD, attestation("amd", "x")),
    ),
    "unstated-beside-what-is-chosen": (DEFAULT, (AMD, S390, SBOM), (AMD, SBOM)),
    "unstated-is-not-chosen": (DEFAULT, (S390, SBOM, attestation("s390")), ()),
    "no-platform-anywhere": (DEFAULT, (SBOM, ARTIFACT), (SBOM, ARTIFACT)),
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


WINDOWS = entry("w", "windows/amd64:10.0.1")
STAYING = {
    "not-chosen-stays": (DEFAULT, (S390, WINDOWS), (AMD,), (S390, WINDOWS)),
    "chosen-and-gone-leaves": (DEFAULT, (AMD, ARM, S390), (entry("new amd"),), (AMD, S390)),
    "unstated-and-gone-leaves": (DEFAULT, (SBOM, S390), (AMD,), (S390,)),
    "unstated-and-brought-stays": (DEFAULT, (SBOM, S390), (AMD, SBOM), (SBOM, S390)),
    "everything-is-chosen": (ALL, (AMD, S390, WINDOWS), (ARM,), ()),
    "attestations-wait-for-the-merge": (ALL, (attestation("amd"),), (ARM,), (attestation("amd"),)),
}


@pytest.mark.parametrize(
    ("selection", "existing", "wanted", "expected"), STAYING.values(), ids=STAYING
)
def test_staying_entries_are_those_not_chosen_and_those_brought(
    selection, existing, wanted, expected
) -> None:
    assert staying(existing, wanted, selection) == expected
