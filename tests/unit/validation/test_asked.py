"""Where a platform stands towards the flags, and which named platforms are not there."""

from __future__ import annotations

import pytest

from image_tools.validation.asked import Demand, Match
from tests.helpers.descriptors import platform

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
