"""What a destination's index holds after new entries came to the ones it had."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, given

from image_tools.plan.merge import identity, merge, select
from image_tools.plan.selection import Selection
from tests.helpers.descriptors import PLATFORMS, attestation, entries, entry

AMD, NEW_AMD = entry("old amd"), entry("new amd")
ARM, NEW_ARM = entry("old arm", "linux/arm64"), entry("new arm", "linux/arm64/v8")
S390 = entry("s390", "linux/s390x")
WIN, NEW_WIN = entry("w1", "windows/amd64:10.0.17763.1"), entry("w2", "windows/amd64:10.0.17763.2")
OTHER_WIN = entry("w3", "windows/amd64:10.0.20348.1")

MERGED = {
    "nothing-there": ((NEW_AMD, attestation("new amd")), (), (NEW_AMD, attestation("new amd"))),
    "nothing-brought": ((), (AMD,), (AMD,)),
    "all-replaced-keeps-the-source-order": ((NEW_ARM, NEW_AMD), (AMD, ARM), (NEW_ARM, NEW_AMD)),
    "replaced-in-place": ((NEW_AMD,), (S390, AMD, ARM), (S390, NEW_AMD, ARM)),
    "new-behind": ((NEW_ARM, NEW_AMD), (S390,), (S390, NEW_ARM, NEW_AMD)),
    "some-new-some-replaced": ((NEW_AMD, NEW_ARM), (ARM, S390), (NEW_ARM, S390, NEW_AMD)),
    "arm64-is-arm64-v8": ((NEW_ARM,), (S390, ARM), (S390, NEW_ARM)),
    "arm-v6-is-not-v7": (
        (entry("6", "linux/arm/v6"),),
        (entry("7", "linux/arm"),),
        (entry("7", "linux/arm"), entry("6", "linux/arm/v6")),
    ),
    "windows-rebuilt": ((NEW_WIN,), (S390, WIN, OTHER_WIN), (S390, NEW_WIN, OTHER_WIN)),
    "windows-other-build": ((OTHER_WIN,), (WIN,), (WIN, OTHER_WIN)),
    "attestations-last": (
        (NEW_AMD, attestation("new amd")),
        (AMD, attestation("old amd"), S390, attestation("s390")),
        (NEW_AMD, S390, attestation("s390"), attestation("new amd")),
    ),
    "unchanged-with-attestation": (
        (AMD, attestation("old amd")),
        (AMD, attestation("old amd"), S390),
        (AMD, S390, attestation("old amd")),
    ),
    "orphan-at-the-destination": ((NEW_AMD,), (S390, attestation("gone")), (S390, NEW_AMD)),
    "attestation-for-two-of-one-digest": (
        (entry("same"), attestation("same")),
        (entry("same", "linux/s390x"), attestation("same")),
        (entry("same", "linux/s390x"), entry("same"), attestation("same")),
    ),
    "two-of-one-platform-brought": (
        (NEW_AMD, entry("zstd")),
        (S390, AMD),
        (S390, NEW_AMD, entry("zstd")),
    ),
    "two-of-one-platform-there": ((NEW_AMD,), (AMD, S390, entry("zstd")), (NEW_AMD, S390)),
    "unstated-is-known-by-digest": (
        (entry("x", ""),),
        (entry("x", ""), entry("y", "")),
        (entry("x", ""), entry("y", "")),
    ),
}


@pytest.mark.parametrize(("wanted", "existing", "expected"), MERGED.values(), ids=MERGED)
def test_merge_new_entries_with_existing_ones(wanted, existing, expected) -> None:
    assert merge(wanted, existing) == expected


@pytest.mark.parametrize("where", PLATFORMS)
def test_merge_of_an_image_with_itself_changes_nothing(where) -> None:
    image = (entry("x", where), attestation("x"))

    assert merge(image, image) == image


@given(entries)
def test_merge_with_nothing_there_is_what_was_wanted(wanted) -> None:
    assert merge(wanted, ()) == wanted


@given(entries, entries)
def test_merge_loses_no_foreign_platform_and_nothing_brought(wanted, existing) -> None:
    merged = merge(wanted, existing)

    brought = {identity(one) for one in wanted if not one.is_attestation}
    foreign = [e for e in existing if not e.is_attestation and identity(e) not in brought]
    images = [one for one in merged if not one.is_attestation]
    assert Counter(images) == Counter(foreign + [e for e in wanted if not e.is_attestation])
    assert [one for one in merged if one in foreign and one not in wanted] == foreign
    assert not Counter(wanted) - Counter(merged)


@given(entries, entries)
def test_merge_again_changes_nothing(wanted, existing) -> None:
    once = merge(wanted, existing)

    assert merge(wanted, once) == once


@given(entries, entries)
def test_merge_of_selected_entries_leaves_no_orphan_of_its_own(leaves, existing) -> None:
    wanted = select(leaves, Selection())
    assume(wanted != leaves)  # Where nothing is left out the orphans stay, too.

    merged = merge(wanted, select(existing, Selection(architectures=None, systems=None)))

    subjects = {str(one.digest) for one in merged if not one.is_attestation}
    assert {one.subject for one in merged if one.is_attestation} <= subjects


def test_merge_of_very_large_indexes_is_not_quadratic() -> None:
    existing = tuple(entry(f"old {n}", f"linux/a{n}") for n in range(10_000))
    wanted = tuple(entry(f"new {n}", f"linux/a{n}") for n in range(9_999, 0, -1))

    assert merge(wanted, existing) == (existing[0], *reversed(wanted))
