"""Where a platform stands towards the flags, and which named platforms are not there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from image_tools.oci.descriptor import Descriptor
from image_tools.validation.demand import Demand, Match, choose
from tests.helpers.descriptors import UNKNOWN, attestation, entry, platform

DEFAULT = Demand(architectures=frozenset({"amd64", "arm64"}), systems=frozenset({"linux"}))
ALL = Demand()
ARM = Demand(architectures=frozenset({"arm"}))


def variant(*names: str) -> Demand:
    return Demand(architectures=frozenset({"arm", "arm64"}), variants=frozenset(names))


STANDINGS = {
    "default-amd64": (DEFAULT, "linux/amd64", "matching"),
    "default-other-name": (DEFAULT, "linux/x86_64", "matching"),
    "default-amd64-v3": (DEFAULT, "linux/amd64/v3", "matching"),
    "default-arm": (DEFAULT, "linux/arm/v7", "excluded"),
    "default-windows": (DEFAULT, "windows/amd64:10.0.1", "excluded"),
    "default-nothing-stated": (DEFAULT, "", "undetermined"),
    "default-system-alone": (DEFAULT, "linux/", "undetermined"),
    "default-other-system-alone": (DEFAULT, "windows/", "excluded"),
    "default-architecture-alone": (DEFAULT, "/amd64", "undetermined"),
    "unknown-is-a-word": (DEFAULT, "unknown/unknown", "excluded"),
    "all-nothing-stated": (ALL, "", "matching"),
    "all-unknown": (ALL, "unknown/unknown", "matching"),
    "system-not-named": (ARM, "/arm", "matching"),
    "v7": (variant("v7"), "linux/arm/v7", "matching"),
    "v7-number": (variant("v7"), "linux/arm/7", "matching"),
    "v7-meant": (variant("v7"), "linux/arm", "matching"),
    "v7-not-v6": (variant("v7"), "linux/armel", "excluded"),
    "v7-not-arm64": (variant("v7"), "linux/arm64", "excluded"),
    "variant-alone-is-unsure": (variant("v7"), "linux//v7", "undetermined"),
    "variant-not-stated": (Demand(variants=frozenset({"v7"})), "linux/amd64", "matching"),
}


@pytest.mark.parametrize(("asked", "where", "expected"), STANDINGS.values(), ids=STANDINGS)
def test_standing_of_a_platform(asked: Demand, where: str, expected: str) -> None:
    assert asked.standing(platform(where)) is Match(expected)


MISSING = {
    "all-there": (DEFAULT, ("linux/amd64", "linux/aarch64"), ()),
    "one-gone": (DEFAULT, ("linux/amd64",), ("linux/arm64",)),
    "not-sure-is-not-there": (DEFAULT, ("linux/", "linux/amd64"), ("linux/arm64",)),
    "all-demands-nothing": (ALL, (), ()),
    "any-system": (ARM, ("freebsd/arm",), ()),
    "no-system": (ARM, (), ("arm",)),
    "any-architecture": (Demand(systems=frozenset({"linux"})), ("windows/amd64",), ("linux",)),
    "variant-gone": (variant("v6", "v7"), ("linux/arm/v7", "linux/arm64/v7"), ("variant v6",)),
    "variant-meant": (variant("v7"), ("linux/arm", "linux/arm64/v8"), ()),
}


@pytest.mark.parametrize(("asked", "there", "expected"), MISSING.values(), ids=MISSING)
def test_missing_names_what_the_flags_name_and_is_not_there(
    asked: Demand, there: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert asked.missing(map(platform, there)) == expected


AMD, ARM, S390 = entry("amd"), entry("arm", "linux/arm64"), entry("s390", "linux/s390x")
SBOM = entry("sbom", "linux/")
OTHER_SBOM = entry("other sbom", "linux/")
ORPHAN = attestation("gone")
CHOSEN = {
    "nothing": (DEFAULT, (), ()),
    "none-wanted": (DEFAULT, (S390, attestation("s390")), ()),
    "keeps-the-order": (DEFAULT, (ARM, S390, AMD), (ARM, AMD)),
    "attestations-in-place": (
        DEFAULT,
        (attestation("arm"), AMD, S390, attestation("s390"), ARM),
        (attestation("arm"), AMD, ARM),
    ),
    "no-attestations": (replace(DEFAULT, attestations=False), (AMD, attestation("amd")), (AMD,)),
    "nothing-filtered-keeps-orphans": (ALL, (AMD, ORPHAN), (AMD, ORPHAN)),
    "nothing-left-out-keeps-orphans": (DEFAULT, (AMD, ORPHAN), (AMD, ORPHAN)),
    "filtered-drops-orphans": (DEFAULT, (AMD, S390, ORPHAN), (AMD,)),
    "one-digest-two-platforms": (
        DEFAULT,
        (entry("same"), entry("same", "linux/s390x"), entry("same", "linux/arm64")),
        (entry("same"), entry("same", "linux/arm64")),
    ),
    "said-twice": (DEFAULT, (AMD, AMD), (AMD, AMD)),
    "unsure-with-a-matching-one": (DEFAULT, (AMD, S390, SBOM), (AMD, SBOM)),
    "unsure-alone": (DEFAULT, (S390, SBOM, OTHER_SBOM), ()),
    "no-platforms-at-all": (DEFAULT, (SBOM, entry("x", UNKNOWN)), (SBOM, entry("x", UNKNOWN))),
    "unknown-beside-a-matching-one": (DEFAULT, (AMD, entry("x", UNKNOWN)), (AMD,)),
    "attestations-alone": (ALL, (ORPHAN,), (ORPHAN,)),
    "attestations-alone-are-no-platform": (DEFAULT, (ORPHAN,), ()),
}


@pytest.mark.parametrize(("asked", "leaves", "expected"), CHOSEN.values(), ids=CHOSEN)
def test_choose_entries_with_their_attestations(
    asked: Demand, leaves: tuple[Descriptor, ...], expected: tuple[Descriptor, ...]
) -> None:
    chosen = choose(leaves, asked)

    assert chosen.wanted == expected
    assert chosen.is_whole is (expected == leaves)


def test_choose_platform_unknown_is_not_platform_wanted() -> None:
    """Row 5: two SBOMs of an unknown architecture beside images, and --arch riscv64."""
    riscv = replace(DEFAULT, architectures=frozenset({"riscv64"}))

    assert choose((AMD, ARM, SBOM, OTHER_SBOM), riscv).wanted == ()


REQUIRED = {
    "there": ((AMD, ARM, S390), ()),
    "one-gone": ((AMD, S390), ("linux/arm64",)),
    "all-gone": ((S390,), ("linux/amd64", "linux/arm64")),
    "unsure-is-not-there": ((AMD, entry("x", "/arm64")), ("linux/arm64",)),
    "no-platforms-have-nothing-to-require": ((SBOM,), ()),
}


@pytest.mark.parametrize(("leaves", "missing"), REQUIRED.values(), ids=REQUIRED)
def test_choose_required_platforms_that_are_not_there_are_named(
    leaves: tuple[Descriptor, ...], missing: tuple[str, ...]
) -> None:
    assert choose(leaves, replace(DEFAULT, require_platforms=True)).missing == missing
    assert choose(leaves, DEFAULT).missing == ()
