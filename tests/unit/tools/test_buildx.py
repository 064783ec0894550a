from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index
from image_tools.oci.platform import Platform
from image_tools.tools.buildx import can_express, create_argv, descriptor_file

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64", "v8")
FIRST = Descriptor(media_type=media.OCI_MANIFEST, digest=Digest.of(b"1"), size=7, platform=AMD64)
SECOND = replace(FIRST, digest=Digest.of(b"2"), platform=ARM64)
DOCKER = replace(SECOND, media_type=media.DOCKER_MANIFEST)
INDEX = Index(media.OCI_INDEX, (FIRST, SECOND))


def with_first(**changes: object) -> Index:
    return replace(INDEX, entries=(replace(FIRST, **changes), SECOND))  # type: ignore[arg-type]


def test_create_argv_files_keep_their_order():
    assert create_argv("/p/docker-buildx", "h:1/a:v1", (Path("/r/2"), Path("/r/1"))) == (
        *("/p/docker-buildx", "imagetools", "create", "--progress", "plain"),
        *("--tag", "h:1/a:v1", "--file", "/r/2", "--file", "/r/1"),
    )


def test_descriptor_file_entry_says_everything():
    entry = replace(
        FIRST,
        platform=Platform("windows", "arm", "v7", "10.0.1", ("win32k",)),
        annotations=(("a", "ü"),),
    )

    assert json.loads(descriptor_file(entry)) == {
        "mediaType": media.OCI_MANIFEST,
        "digest": str(FIRST.digest),
        "size": 7,
        "platform": {
            "architecture": "arm",
            "os": "windows",
            "os.version": "10.0.1",
            "os.features": ["win32k"],
            "variant": "v7",
        },
        "annotations": {"a": "ü"},
    }


@pytest.mark.parametrize(
    "index",
    [
        pytest.param(INDEX, id="oci"),
        pytest.param(Index(media.DOCKER_LIST, (DOCKER,)), id="docker"),
        pytest.param(Index(media.OCI_INDEX, (FIRST, DOCKER)), id="mixed"),
        pytest.param(with_first(annotations=(("schlüssel", "wert 漢字"),)), id="annotations"),
        pytest.param(with_first(platform=ARM64), id="one-platform-twice"),
        pytest.param(with_first(platform=Platform("unknown", "unknown")), id="attestation"),
    ],
)
def test_can_express_plain_index_gives_no_reason(index):
    assert can_express(index) is None


@pytest.mark.parametrize(
    ("index", "words"),
    [
        pytest.param(Index(media.OCI_INDEX, ()), "no entries", id="empty"),
        pytest.param(replace(INDEX, has_rare_fields=True), "annotations", id="own-annotations"),
        pytest.param(with_first(digest=SECOND.digest), "one digest", id="one-digest-twice"),
        pytest.param(replace(INDEX, media_type=media.DOCKER_LIST), "not choose", id="wrong-list"),
        pytest.param(Index(media.OCI_INDEX, (DOCKER,)), "not choose", id="oci-over-docker"),
        pytest.param(with_first(media_type=media.OCI_INDEX), "has the type", id="nested"),
        pytest.param(with_first(media_type=""), "unknown", id="untyped"),
        pytest.param(with_first(platform=Platform()), "whole platform", id="no-platform"),
        pytest.param(with_first(platform=Platform("linux")), "whole platform", id="half-platform"),
        pytest.param(with_first(fields={"urls": ["u"]}), "says more", id="urls"),
        pytest.param(with_first(fields={"platform": {"x": 1}}), "says more", id="platform-extra"),
        pytest.param(with_first(annotations=(("a", "<b>"),)), "escapes", id="escaped-value"),
        pytest.param(with_first(annotations=(("a&b", ""),)), "escapes", id="escaped-key"),
        pytest.param(with_first(annotations=(("a", "x\u2028y"),)), "escapes", id="line-separator"),
        pytest.param(
            with_first(platform=Platform("linux", "amd64", "", "", ("a\tb",))),
            "escapes",
            id="escaped-feature",
        ),
        pytest.param(with_first(digest=Digest.parse("sha512:" + "0" * 128)), "sha512", id="sha512"),
        pytest.param(
            Index(
                media.OCI_INDEX,
                tuple(replace(FIRST, digest=Digest.of(b"%d" % n)) for n in range(501)),
            ),
            "more than 500",
            id="too-many",
        ),
    ],
)
def test_can_express_unfit_index_gives_the_reason(index, words):
    reason = can_express(index)

    assert reason is not None
    assert words in reason
