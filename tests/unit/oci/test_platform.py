"""Platforms: text, JSON, and which two are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.errors import InvalidPlatform
from image_tools.oci.platform import Platform

words = st.text("ax8.-_", max_size=3)
platforms = st.builds(Platform, words, words, words, words, st.lists(words, max_size=2).map(tuple))


@given(platforms)
def test_platform_survives_json_and_back(platform) -> None:
    assert Platform.from_json(platform.to_json()) == platform


@given(platforms)
def test_normalized_twice_is_the_same(platform) -> None:
    assert platform.normalized.normalized == platform.normalized


@given(platforms, platforms)
def test_completed_from_keeps_what_is_stated(entry, config) -> None:
    completed = entry.completed_from(config).to_json()

    assert completed == {**config.to_json(), **entry.to_json()}


def test_to_json_writes_only_what_is_stated_in_the_specifications_order() -> None:
    platform = Platform("windows", "amd64", "", "10.0.17763.1", ("win32k",))

    assert list(platform.to_json().items()) == [
        ("architecture", "amd64"),
        ("os", "windows"),
        ("os.version", "10.0.17763.1"),
        ("os.features", ["win32k"]),
    ]
    assert Platform().to_json() == {}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"os": None, "architecture": 7, "variant": ["v8"]}, Platform()),
        ({"os.features": "win32k", "os.version": {}}, Platform()),
        ({"os": "linux", "os.features": ["a", 1, None]}, Platform("linux", os_features=("a",))),
        ({"OS": "linux", "features": ["sse4"]}, Platform()),
    ],
    ids=["wrong-types", "wrong-features", "some-features", "other-names"],
)
def test_from_json_wrongly_typed_fields_are_empty(fields, expected) -> None:
    assert Platform.from_json(fields) == expected


PARSED = {
    "two": ("linux/amd64", Platform("linux", "amd64")),
    "three": ("linux/arm/v7", Platform("linux", "arm", "v7")),
    "blanks": (" linux/amd64\n", Platform("linux", "amd64")),
}


@pytest.mark.parametrize(("text", "expected"), PARSED.values(), ids=PARSED)
def test_parse_platform_gives_its_parts(text, expected) -> None:
    assert Platform.parse(text) == expected


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "a/b/c/d", "a b/c", "linux/ü"])
def test_parse_platform_invalid_is_refused(text) -> None:
    with pytest.raises(InvalidPlatform, match="write os/architecture"):
        Platform.parse(text)


NORMALIZED = {
    "arm64": ("arm64", "", "arm64", "v8"),
    "arm64-v8": ("arm64", "v8", "arm64", "v8"),
    "arm64-8": ("arm64", "8", "arm64", "v8"),
    "arm64-v9": ("arm64", "v9", "arm64", "v9"),
    "aarch64": ("aarch64", "", "arm64", "v8"),
    "arm": ("arm", "", "arm", "v7"),
    "arm-6": ("arm", "6", "arm", "v6"),
    "armhf": ("armhf", "", "arm", "v7"),
    "armel": ("armel", "", "arm", "v6"),
    "amd64": ("amd64", "", "amd64", ""),
    "amd64-v1": ("amd64", "v1", "amd64", ""),
    "amd64-v3": ("amd64", "v3", "amd64", "v3"),
    "x86-64": ("x86_64", "", "amd64", ""),
    "i386": ("i386", "", "386", ""),
    "s390x": ("s390x", "", "s390x", ""),
    "number-means-nothing-there": ("ppc64le", "8", "ppc64le", "8"),
    "unstated": ("", "", "", ""),
}


@pytest.mark.parametrize(
    ("architecture", "variant", "same_architecture", "same_variant"),
    NORMALIZED.values(),
    ids=NORMALIZED,
)
def test_normalized_platform_has_the_variant_that_is_meant(
    architecture, variant, same_architecture, same_variant
) -> None:
    stated = Platform("linux", architecture, variant, "1", ("f",))

    assert stated.normalized == Platform("linux", same_architecture, same_variant, "1", ("f",))


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "\ud800", "\0", "\u202e", 3, None])
def test_platform_of_what_no_screen_shows_states_nothing(text) -> None:
    fields = dict.fromkeys(("os", "architecture", "variant", "os.version"), text)

    assert Platform.from_json({**fields, "os.features": [text]}) == Platform()


TEXTS = {
    "plain": (Platform("linux", "amd64"), "linux/amd64", True),
    "variant": (Platform("linux", "arm", "v7"), "linux/arm/v7", True),
    "version": (Platform("windows", "amd64", "", "10.0"), "windows/amd64:10.0", True),
    "nothing": (Platform(), "unknown", False),
    "only-version": (Platform(os_version="10.0"), "unknown:10.0", False),
    "unknown": (Platform("unknown", "unknown"), "unknown/unknown", False),
    "half": (Platform("linux"), "linux", False),
    "half-unknown": (Platform("linux", "unknown"), "linux/unknown", False),
}


@pytest.mark.parametrize(("platform", "text", "known"), TEXTS.values(), ids=TEXTS)
def test_platform_as_text_and_whether_it_is_known(platform, text, known) -> None:
    assert (str(platform), platform.is_known) == (text, known)
