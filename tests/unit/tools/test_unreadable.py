"""What skopeo and buildx are known not to carry, and the words in which they say so."""

from __future__ import annotations

from typing import Any

import pytest

from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, Manifest, Schema1
from image_tools.oci.platform import Platform
from image_tools.tools.unreadable import (
    buildx_cannot_pass_on,
    cannot_parse,
    leaves_the_exchange,
    skopeo_cannot_parse,
)
from image_tools.tools.versions import Version

OLD, NEW = Version(1, 18), Version(1, 22)
GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER, OCI, ZSTD = media.DOCKER_MANIFEST, media.OCI_MANIFEST, media.DOCKER_ZSTD_LAYER


def blob(media_type: str = "", **fields: Any) -> Descriptor:
    return Descriptor(media_type=media_type, digest=Digest.of(b"x"), size=1, fields=fields)


def manifest(*layers: str, stated: str = DOCKER) -> Manifest:
    return Manifest(DOCKER, blob("config"), tuple(blob(one) for one in layers), stated)


@pytest.mark.parametrize(
    ("served", "found", "skopeo"),
    [
        pytest.param(DOCKER, manifest(GZIP, FOREIGN), OLD, id="docker"),
        pytest.param(DOCKER, manifest(), OLD, id="no-layers"),
        pytest.param(DOCKER, manifest(ZSTD), NEW, id="zstd-new-skopeo"),
        pytest.param(DOCKER, manifest(ZSTD), Version(1, 20), id="zstd-skopeo-nobody-tried"),
        pytest.param(DOCKER, manifest(ZSTD), Version(0, 0), id="zstd-unknown-skopeo"),
        pytest.param(OCI, manifest(ZSTD, "", "text/plain", stated=""), OLD, id="oci"),
    ],
)
def test_skopeo_cannot_parse_what_it_copies_gives_no_reason(
    served: str, found: Manifest, skopeo: Version
) -> None:
    assert skopeo_cannot_parse(served, found, skopeo) is None


@pytest.mark.parametrize(
    ("served", "found", "reason"),
    [
        (DOCKER, manifest(GZIP, ZSTD), "Docker manifests with zstd layers"),
        (DOCKER, manifest(OCI_LAYER), f"Docker manifests with layers of the type {OCI_LAYER}"),
        (DOCKER, manifest(""), "Docker manifests with layers of the type unknown"),
        (DOCKER, manifest(GZIP, stated=""), "Docker manifests without mediaType"),
        (DOCKER, manifest(stated=OCI), f'Docker manifests with the mediaType "{OCI}"'),
        (media.OCI_ARTIFACT, manifest(), f"manifests of the type {media.OCI_ARTIFACT}"),
        ("", manifest(), "manifests of the type unknown"),
    ],
)
def test_skopeo_cannot_parse_what_it_refuses_gives_the_reason(
    served: str, found: Manifest, reason: str
) -> None:
    assert skopeo_cannot_parse(served, found, OLD) == reason


@pytest.mark.parametrize(
    "part",
    [
        'unsupported docker v2s2 media type: "application/x"',
        "unsupported schema version 2",
        "json: cannot unmarshal number into Go struct field OCI1.annotations of type string",
        "json: cannot unmarshal number into Go struct field OCI1.Manifest.annotations of type map",
        'manifest list: update 2 of 2 passed to OCI1Index.UpdateInstances had no media type (was "',
    ],
)
@pytest.mark.parametrize("before", ["", "copying image 1/2 from manifest list: initializing: "])
def test_cannot_parse_words_of_a_tool_give_the_part_that_says_it(before: str, part: str) -> None:
    found = cannot_parse(before + part)

    assert found is not None
    assert found in part


@pytest.mark.parametrize(
    "words",
    [
        "",
        "Source image rejected: Running image is rejected by policy.",
        'rejecting ambiguous manifest, unexpected fields []string{"fsLayers"} in supposedly x',
        "Digest did not match, expected sha256:a, got sha256:b",
        "reading manifest sha256:a in x: manifest unknown",
        "Uploading manifest failed, attempted the following formats: x(manifest invalid)",
        "writing manifest: uploading manifest 1 to x: unsupported",
        "received unexpected HTTP status: 503 Service Unavailable",
        "invalid character '<' looking for beginning of value",
    ],
)
def test_cannot_parse_other_failures_are_none(words: str) -> None:
    assert cannot_parse(words) is None


ADDRESS = ["https://layers.example/1"]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Index(media.OCI_INDEX, (blob(OCI), blob(OCI, urls=ADDRESS))), "an entry has urls"),
        (Manifest(OCI, blob(), (blob(FOREIGN, urls=ADDRESS),)), "a layer has urls"),
        (Manifest(OCI, blob(), (blob(GZIP, urls=ADDRESS),)), "a layer has urls"),
        (Manifest(OCI, blob(urls=ADDRESS), ()), "a layer has urls"),
        (Manifest(media.OCI_ARTIFACT, None, (blob(urls=ADDRESS),)), "a layer has urls"),
        (Manifest(OCI, blob(), (blob(FOREIGN, urls=[]),)), None),
        (Manifest(OCI, blob(), (blob(FOREIGN),)), None),
        (Index(media.OCI_INDEX, (blob(OCI),)), None),
        (Schema1(Platform(), ()), None),
    ],
)
def test_leaves_the_exchange_urls_are_found(
    found: Manifest | Index | Schema1, reason: str | None
) -> None:
    assert leaves_the_exchange(found) == reason


@pytest.mark.parametrize(
    ("types", "reason"),
    [
        ((OCI, DOCKER, media.OCI_INDEX, media.DOCKER_LIST), None),
        ((), None),
        ((OCI, media.OCI_ARTIFACT), f"an entry has the type {media.OCI_ARTIFACT}"),
        (("",), "an entry has the type unknown"),
    ],
)
def test_buildx_cannot_pass_on_types_it_takes_for_blobs(
    types: tuple[str, ...], reason: str | None
) -> None:
    assert buildx_cannot_pass_on(Index(media.OCI_INDEX, tuple(map(blob, types)))) == reason
