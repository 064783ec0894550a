"""Which entries of a source are asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from image_tools.oci.descriptor import Descriptor
from image_tools.validation.asked import Demand
from image_tools.validation.choice import choose
from tests.helpers.descriptors import UNKNOWN, attestation, entry

DEFAULT = Demand(architectures=frozenset({"amd64", "arm64"}), systems=frozenset({"linux"}))
ALL = Demand()
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


@pytest.mark.parametrize(("leaves", "lacking"), REQUIRED.values(), ids=REQUIRED)
def test_choose_required_platforms_that_are_not_there_are_named(
    leaves: tuple[Descriptor, ...], lacking: tuple[str, ...]
) -> None:
    assert choose(leaves, replace(DEFAULT, require_platforms=True)).lacking == lacking
    assert choose(leaves, DEFAULT).lacking == ()
