"""Manifests and indexes from raw bytes: every known shape, and any bytes at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.errors import InvalidManifest
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import (
    MAXIMUM_ENTRIES,
    MAXIMUM_MANIFEST_SIZE,
    Index,
    Manifest,
    RawManifest,
    Schema1,
    config_platform,
    index_bytes,
    parse,
)
from image_tools.oci.platform import Platform
from tests.helpers.descriptors import attestation, entries, entry

CONFIG = {"mediaType": media.OCI_CONFIG, "digest": str(Digest.of(b"c")), "size": 1}
LAYER = {"mediaType": "layer", "digest": str(Digest.of(b"l")), "size": 2}
FOREIGN = {**LAYER, "digest": str(Digest.of(b"f")), "urls": ["https://r.example/f"]}
ENTRY = {"mediaType": media.OCI_MANIFEST, "digest": str(Digest.of(b"m")), "size": 3}
SCHEMA1 = {
    "schemaVersion": 1,
    "architecture": "arm64",
    "fsLayers": [{"blobSum": LAYER["digest"]}, {"blobSum": CONFIG["digest"]}],
    "history": [{"v1Compatibility": '{"os": "windows"}'}],
}


def config(media_type: str = media.OCI_CONFIG) -> Descriptor:
    return Descriptor(media_type=media_type, digest=Digest.of(b"c"), size=1)


def raw(document: object, media_type: str = "") -> RawManifest:
    return RawManifest(media_type, json.dumps(document).encode())


layer = Descriptor(media_type="layer", digest=Digest.of(b"l"), size=2)
child = Descriptor(media_type=media.OCI_MANIFEST, digest=Digest.of(b"m"), size=3)
DOCKER_CONFIGURED = {"config": {**CONFIG, "mediaType": media.DOCKER_CONFIG}}
SHAPES = {
    "manifest-by-header": (
        raw({"config": CONFIG, "layers": [LAYER]}, media.DOCKER_MANIFEST),
        Manifest(media.DOCKER_MANIFEST, config(), (layer,)),
    ),
    "manifest-by-field": (
        raw({"mediaType": media.OCI_MANIFEST, "config": CONFIG, "layers": []}, media.OCI_INDEX),
        Manifest(media.OCI_MANIFEST, config(), ()),
    ),
    "manifest-by-content": (
        raw({"config": CONFIG}, "text/plain"),
        Manifest(media.OCI_MANIFEST, config(), ()),
    ),
    "manifest-by-config": (
        raw(DOCKER_CONFIGURED),
        Manifest(media.DOCKER_MANIFEST, config(media.DOCKER_CONFIG), ()),
    ),
    "manifest-nulls": (
        raw({"config": CONFIG, "layers": None, "manifests": None}),
        Manifest(media.OCI_MANIFEST, config(), ()),
    ),
    "artifact-by-field": (
        raw({"mediaType": media.OCI_ARTIFACT, "blobs": [LAYER]}),
        Manifest(media.OCI_ARTIFACT, None, (layer,)),
    ),
    "artifact-by-header": (
        raw({"blobs": None}, media.OCI_ARTIFACT),
        Manifest(media.OCI_ARTIFACT, None, ()),
    ),
    "index-by-header": (
        raw({"manifests": [ENTRY]}, media.DOCKER_LIST),
        Index(media.DOCKER_LIST, (child,)),
    ),
    "index-by-field": (
        raw({"manifests": [ENTRY], "mediaType": media.OCI_INDEX}, media.DOCKER_LIST),
        Index(media.OCI_INDEX, (child,)),
    ),
    "index-by-content": (raw({"manifests": [ENTRY]}), Index(media.OCI_INDEX, (child,))),
    "index-lying-type": (
        raw({"manifests": [], "mediaType": media.OCI_MANIFEST}),
        Index(media.OCI_INDEX, ()),
    ),
    "index-null": (raw({"manifests": None}, media.OCI_INDEX), Index(media.OCI_INDEX, ())),
    "index-annotated": (
        raw({"manifests": [], "annotations": {"a": "b"}}),
        Index(media.OCI_INDEX, (), (("a", "b"),), has_rare_fields=True),
    ),
    "index-with-empty-extras": (
        raw({"schemaVersion": 2, "manifests": [], "annotations": {}, "subject": None}),
        Index(media.OCI_INDEX, ()),
    ),
    "schema1": (
        raw(SCHEMA1, media.DOCKER_SCHEMA1_SIGNED),
        Schema1(Platform("windows", "arm64"), (config().digest, layer.digest)),
    ),
    "schema1-broken-history": (
        raw({**SCHEMA1, "history": [{"v1Compatibility": "{"}]}),
        Schema1(Platform("linux", "arm64"), (config().digest, layer.digest)),
    ),
    "schema1-no-history": (
        raw({**SCHEMA1, "history": {}}),
        Schema1(Platform("linux", "arm64"), (config().digest, layer.digest)),
    ),
    "utf-8-mark": (
        RawManifest("", b'\xef\xbb\xbf{"manifests": []}'),
        Index(media.OCI_INDEX, ()),
    ),
}


@pytest.mark.parametrize(("given_raw", "expected"), SHAPES.values(), ids=SHAPES)
def test_parse_manifest_of_a_known_shape(given_raw, expected) -> None:
    assert parse(given_raw) == expected


REFUSED = {
    "nothing": (b"", "not JSON"),
    "html": (b"<html>", "not JSON"),
    "not-utf-8": (b'{"a": "\xff"}', "not JSON"),
    "no-object": (b"[]", "not a JSON object"),
    "empty-object": (b"{}", "unsupported manifest of type text/plain"),
    "only-layers": (json.dumps({"layers": [LAYER]}).encode(), "unsupported manifest"),
    "not-a-number": (b'{"manifests": [], "x": NaN}', "NaN is no number"),
    "infinity": (b'{"manifests": [], "x": -Infinity}', "-Infinity is no number"),
    "beyond-numbers": (b'{"manifests": [], "x": 1e999}', "out of all bounds"),
    "deep": (b'{"manifests":' + b"[" * 100_000, "not JSON"),
    "deep-objects": (b'{"a":' * 100_000, "not JSON"),
    "utf-16": ('{"manifests": []}'.encode("utf-16"), "not JSON"),
    "twice": (b'{"manifests": [], "manifests": [1]}', "a field is there twice"),
    "twice-below": (b'{"manifests": [{"size": 1, "size": 2}]}', "a field is there twice"),
    "look-alike": (b'{"manifests": [], "Config": {}}', "'Config' is no field"),
    "look-alike-letter": (b'{"manifests": [], "layer\xc5\xbf": []}', "is no field"),
    "look-alike-below": (
        json.dumps({"manifests": [{**ENTRY, "Digest": "x"}]}).encode(),
        "'Digest' is no field",
    ),
    "size-a-float": (json.dumps({"manifests": [{**ENTRY, "size": 5.0}]}).encode(), "no number"),
    "size-negative": (json.dumps({"manifests": [{**ENTRY, "size": -1}]}).encode(), "no number"),
    "size-a-truth": (json.dumps({"manifests": [{**ENTRY, "size": True}]}).encode(), "no number"),
    "size-absurd": (json.dumps({"manifests": [{**ENTRY, "size": 10**30}]}).encode(), "no number"),
    "size-a-word": (json.dumps({"manifests": [{**ENTRY, "size": "5"}]}).encode(), "no number"),
    "digest-unknown": (
        json.dumps({"manifests": [{**ENTRY, "digest": "blake3:ab"}]}).encode(),
        "digest algorithm 'blake3' is not supported",
    ),
    "endless-number": (b'{"manifests": [' + b"9" * 5000 + b"]}", "not JSON"),
    "too-large": (b" " * MAXIMUM_MANIFEST_SIZE + b"{}", "more than 4 MiB"),
    "too-many-entries": (
        json.dumps({"manifests": [0] * (MAXIMUM_ENTRIES + 1)}).encode(),
        "has 10001 manifests",
    ),
    "too-many-layers": (
        json.dumps({"config": CONFIG, "layers": [0] * (MAXIMUM_ENTRIES + 1)}).encode(),
        "has 10001 layers",
    ),
    "two-meanings": (
        json.dumps({"manifests": [ENTRY], "config": CONFIG}).encode(),
        "an image and an index at once",
    ),
    "two-meanings-empty": (
        json.dumps({"manifests": [], "layers": []}).encode(),
        "an image and an index at once",
    ),
    "two-meanings-schema1": (
        json.dumps({"config": CONFIG, "layers": [LAYER], "fsLayers": []}).encode(),
        "of two kinds at once",
    ),
    "two-meanings-history": (
        json.dumps({"manifests": [ENTRY], "history": []}).encode(),
        "of two kinds at once",
    ),
    "two-meanings-artifact": (
        json.dumps({"mediaType": media.OCI_ARTIFACT, "config": CONFIG, "blobs": []}).encode(),
        "of two kinds at once",
    ),
    "blobs-no-list": (
        json.dumps({"mediaType": media.OCI_ARTIFACT, "blobs": {}}).encode(),
        "the blobs of the manifest are no list",
    ),
    "entries-no-list": (b'{"manifests": {}}', "the manifests of the manifest are no list"),
    "layers-no-list": (
        json.dumps({"config": CONFIG, "layers": "x"}).encode(),
        "the layers of the manifest are no list",
    ),
    "entry-no-object": (b'{"manifests": [null]}', "a descriptor is not a JSON object"),
    "config-no-object": (b'{"config": "x"}', "a descriptor is not a JSON object"),
    "schema1-no-layers": (b'{"schemaVersion": 1}', "has no layers"),
    "schema1-wrong-layer": (b'{"schemaVersion": 1, "fsLayers": [1]}', "has no digest"),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_parse_manifest_of_no_known_shape_is_refused_briefly(content, reason) -> None:
    with pytest.raises(InvalidManifest) as caught:
        parse(RawManifest("text/plain", content))

    assert reason in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("document", "blobs", "is_image"),
    [
        ({"config": CONFIG, "layers": [LAYER, FOREIGN, LAYER]}, (config(), layer), True),
        ({"config": CONFIG, "layers": [CONFIG]}, (config(),), True),
        ({"config": LAYER, "layers": [LAYER]}, (layer,), False),
        ({"config": CONFIG, "layers": [{**LAYER, "urls": []}]}, (config(), layer), True),
    ],
    ids=["foreign-and-twice", "config-as-layer", "artifact", "no-urls"],
)
def test_manifest_blobs_are_those_a_registry_holds_each_once(document, blobs, is_image) -> None:
    found = parse(raw(document))

    assert isinstance(found, Manifest)
    assert (found.blobs, found.is_image) == (blobs, is_image)


@pytest.mark.parametrize(
    ("document", "count"),
    [
        ({"config": CONFIG, "layers": [FOREIGN, LAYER, FOREIGN]}, 1),
        ({"config": CONFIG, "layers": [{**LAYER, "urls": ["https://r.example/l"]}]}, 1),
        ({"config": CONFIG, "layers": [{**LAYER, "urls": ["https://r.example/l"]}, LAYER]}, 0),
        ({"config": CONFIG, "layers": [{**LAYER, "urls": []}]}, 0),
        ({"mediaType": media.OCI_ARTIFACT, "blobs": [FOREIGN]}, 1),
    ],
    ids=["twice", "of-a-plain-type", "needed-as-well", "no-urls", "artifact"],
)
def test_manifest_foreign_layers_have_urls_and_are_given_once(document, count) -> None:
    found = parse(raw(document))

    assert isinstance(found, Manifest)
    assert len(found.foreign) == count
    assert not {blob.digest for blob in found.foreign} & {blob.digest for blob in found.blobs}


def test_raw_manifest_describes_its_bytes() -> None:
    content = RawManifest(media.OCI_INDEX, b"{}")

    assert content.descriptor == Descriptor(
        media_type=media.OCI_INDEX, digest=Digest.of(b"{}"), size=2
    )


NAMES = ("manifests", "config", "layers", "fsLayers", "history", "mediaType", "schemaVersion")
FIELDS = ("digest", "size", "platform", "annotations", "urls", "blobSum", "v1Compatibility")
keys = st.sampled_from(NAMES + FIELDS)
leaves = st.sampled_from([None, 1, 2, -1, 0.5, "", str(Digest.of(b"x")), media.OCI_INDEX, "\ud800"])
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner), max_leaves=12
)


@given(st.binary(max_size=30) | documents.map(json.dumps).map(str.encode), st.text(max_size=5))
def test_any_bytes_are_a_manifest_or_an_invalid_manifest(content, media_type) -> None:
    try:
        found = parse(RawManifest(media_type, content))
    except InvalidManifest:
        return
    assert isinstance(found, Manifest | Index | Schema1)


CONFIGS = {
    "whole": (
        b'{"os": "linux", "architecture": "arm", "variant": "v7"}',
        Platform("linux", "arm", "v7"),
    ),
    "windows": (
        b'{"os": "windows", "os.version": "10.0"}',
        Platform("windows", os_version="10.0"),
    ),
    "empty": (b"{}", Platform()),
    "no-object": (b"[1]", Platform()),
    "no-json": (b"\x1f\x8b", Platform()),
}


@pytest.mark.parametrize(("content", "expected"), CONFIGS.values(), ids=CONFIGS)
def test_config_platform_is_empty_where_none_is_stated(content, expected) -> None:
    assert config_platform(content) == expected


@given(entries, st.sampled_from([media.OCI_INDEX, media.DOCKER_LIST]))
def test_index_bytes_parse_back_to_the_same_entries(held, media_type) -> None:
    written = RawManifest("", index_bytes(Index(media_type, held)))

    assert parse(written) == Index(media_type, held)


def test_index_bytes_keep_what_only_the_entry_knew() -> None:
    fields = {**ENTRY, "artifactType": "x", "platform": {"os": "linux", "features": ["é"]}}

    written = index_bytes(Index(media.OCI_INDEX, (Descriptor.from_json(fields),)))

    assert json.loads(written)["manifests"] == [fields]
    assert "é".encode() in written


def test_index_bytes_look_as_buildx_writes_them() -> None:
    assert index_bytes(Index(media.OCI_INDEX, (entry("a"),))).decode().splitlines()[:5] == [
        "{",
        '  "schemaVersion": 2,',
        f'  "mediaType": "{media.OCI_INDEX}",',
        '  "manifests": [',
        "    {",
    ]


def test_index_bytes_of_fields_nested_too_deep_are_refused() -> None:
    deep: list[object] = []
    for _ in range(200_000):  # Python 3.13 writes what is 5,000 deep.
        deep = [deep]
    held = Descriptor.from_json({**ENTRY, "x": deep})

    with pytest.raises(InvalidManifest, match="nested too deep"):
        index_bytes(Index(media.OCI_INDEX, (held, attestation("a"))))
