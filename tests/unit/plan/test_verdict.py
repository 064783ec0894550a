"""What a validation says, word for word as users search for it."""

from __future__ import annotations

import json

import pytest

from image_tools.oci import media
from image_tools.oci.manifest import RawManifest
from image_tools.oci.platform import Platform
from image_tools.plan.images import DestinationImage, SourceImage
from image_tools.plan.verdict import (
    Names,
    Verdict,
    explain,
    explain_converted,
    spec,
    unreadable,
)
from tests.helpers.descriptors import attestation, entry, index

NAMES = Names(source="docker.io/library/nginx:1", destination="reg:5000/library/nginx", tag="1")
PLACE = "reg:5000/library/nginx:1"
AMD = entry("amd")
ARM = entry("arm", "linux/arm64")
OLD_AMD = entry("old amd")
LENGTH = "destination manifest list length should be 1"
DIFFERENT = 'source manifest "docker.io/library/nginx:1" != dest "reg:5000/library/nginx", tag "1"'


def source(*leaves, single=False, artifact=False) -> SourceImage:
    top = RawManifest(AMD.media_type, b"amd") if single else index(*leaves)
    return SourceImage(top=top, leaves=leaves, single=single, artifact=artifact)


def held(*entries) -> DestinationImage:
    return DestinationImage(index(*entries), entries, is_index=True)


def digests(expected, found) -> str:
    return f'source digest "{expected.digest}" != dest digest "{found.digest}"'


SINGLE = source(AMD, single=True)
LIST = source(AMD, ARM)
CASES = {
    "absent": (LIST, None, (f"[{PLACE}]: destination manifest does not exists",)),
    "single-at-destination": (
        LIST,
        DestinationImage(RawManifest(media.DOCKER_MANIFEST, b"x"), (AMD,), is_index=False),
        (f"[{PLACE}]: destination manifest MIME type unknown: {media.DOCKER_MANIFEST}",),
    ),
    "empty": (LIST, held(), (f"[{PLACE}]: destination manifest list is empty",)),
    "single-has-changed": (SINGLE, held(OLD_AMD), (digests(AMD, OLD_AMD),)),
    "single-among-others": (SINGLE, held(OLD_AMD, ARM), (LENGTH, digests(AMD, OLD_AMD))),
    "single-with-its-attestation": (
        SINGLE,
        held(OLD_AMD, attestation("old amd")),
        (digests(AMD, OLD_AMD),),
    ),
    "single-wrong-arch": (
        SINGLE,
        held(entry("amd", "linux/arm64")),
        ('source arch "amd64" != dest arch "arm64"',),
    ),
    "single-wrong-os": (
        SINGLE,
        held(entry("amd", "windows/amd64")),
        ('source os "linux" != dest os "windows"',),
    ),
    "list-changed": (LIST, held(OLD_AMD, ARM), (DIFFERENT,)),
    "list-child-missing": (LIST, held(AMD), (DIFFERENT,)),
    "list-wrong-variant": (
        source(entry("v7", "linux/arm/v7")),
        held(entry("v7", "linux/arm/v6")),
        ('source variant "v7" != dest variant "v6"', DIFFERENT),
    ),
    "artifact-changed": (
        source(AMD, single=True, artifact=True),
        held(ARM),
        None,
    ),
}


@pytest.mark.parametrize(("image", "there", "problems"), CASES.values(), ids=CASES)
def test_explain_says_what_differs_in_known_words(image, there, problems) -> None:
    verdict = explain(image, image.leaves, there, NAMES)

    if problems is None:
        problems = (f'source digest "{image.top.digest}" != dest digest "{there.top.digest}"',)
    assert verdict.problems == problems
    assert "copy this image again" in verdict.advice


def test_explain_lists_differ_both_specs_are_for_the_log() -> None:
    verdict = explain(LIST, LIST.leaves, held(OLD_AMD, ARM), NAMES)

    assert json.loads(verdict.source_spec) == [
        {"digest": str(AMD.digest), "platform": {"architecture": "amd64", "os": "linux"}},
        {"digest": str(ARM.digest), "platform": {"architecture": "arm64", "os": "linux"}},
    ]
    assert verdict.destination_spec == spec((OLD_AMD, ARM))


def test_unreadable_destination_is_to_be_overwritten() -> None:
    verdict = unreadable(ValueError("gone"), NAMES)

    assert verdict.problems == (f"[{PLACE}]: destination manifest cannot be read: gone",)
    assert "--force --overwrite" in verdict.advice


CONVERTED = {
    "fits": (held(AMD), (AMD,), ()),
    "fits-among-others": (held(ARM, AMD), (AMD,), ()),
    "absent": (None, (), (f"[{PLACE}]: destination manifest does not exists",)),
    "other-platform": (
        held(entry("x", "linux/s390x")),
        (),
        ('source arch "amd64" != dest arch "s390x"',),
    ),
    "two-others": (
        held(entry("x", "linux/s390x"), entry("y", "linux/386")),
        (),
        (LENGTH, 'source arch "amd64" != dest arch "s390x"'),
    ),
}


@pytest.mark.parametrize(("there", "kept", "problems"), CONVERTED.values(), ids=CONVERTED)
def test_explain_converted_compares_the_platform_alone(there, kept, problems) -> None:
    found, verdict = explain_converted(Platform("linux", "amd64"), there, NAMES)

    assert (found, verdict.problems) == (kept, problems)
    assert (verdict == Verdict()) is bool(kept)
