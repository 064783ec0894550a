from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.errors import ArchiveDamaged
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.reference import Reference
from image_tools.stores.archive.catalogue import (
    IMAGE_NAME,
    REF_NAME,
    Catalogue,
    Origin,
    nameless_note,
    origin_note,
    parse_catalogue,
    reference_of,
    replayed,
    tag_note,
)

NGINX = Reference.parse("nginx:1.25")
ORIGIN = Origin("docker.io/library/nginx:1.25", Digest.of(b"source"), "linux/amd64")


def entry(content: bytes = b"index", **annotations: str) -> Descriptor:
    return Descriptor(
        media_type=media.OCI_INDEX,
        digest=Digest.of(content),
        size=len(content),
        annotations=tuple(sorted(annotations.items())),
    )


def read(*entries: object, **more: object) -> Catalogue:
    document = {"schemaVersion": 2, "manifests": list(entries), **more}
    return parse_catalogue(json.dumps(document).encode(), "images")


def named(reference: str, content: bytes = b"index") -> dict[str, object]:
    return {**entry(content).to_json(), "annotations": {REF_NAME: reference}}


def test_catalogue_of_no_bytes_is_empty() -> None:
    assert parse_catalogue(b"", "images") == Catalogue()


def test_catalogue_written_is_read_again_as_it_was() -> None:
    made = (
        Catalogue(extras={"annotations": {"made": "by us"}})
        .tagged(NGINX, entry(b"a", own="annotation"))
        .with_origin(NGINX, ORIGIN)
        .tagged(Reference.parse("quay.io/a/b:2"), entry(b"b"))
        .with_nameless(entry(b"signature"))
    )

    found = parse_catalogue(made.index_bytes(), "images")

    assert found == made
    assert found.index_bytes() == made.index_bytes()


def test_catalogue_names_each_tag_for_skopeo_and_for_containerd() -> None:
    (written,) = json.loads(Catalogue().tagged(NGINX, entry()).index_bytes())["manifests"]

    full = "docker.io/library/nginx:1.25"
    assert written["annotations"] == {IMAGE_NAME: full, REF_NAME: full}


def test_tag_set_again_forgets_where_its_image_came_from() -> None:
    made = Catalogue().tagged(NGINX, entry(b"a")).with_origin(NGINX, ORIGIN)

    assert made.tagged(NGINX, entry(b"b")).tags[NGINX].origin is None


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({}, None),
        ({REF_NAME: "1.25"}, None),
        ({REF_NAME: "latest", IMAGE_NAME: "docker.io/library/nginx:1.25"}, NGINX),
        ({REF_NAME: "nginx:1.25"}, NGINX),
        ({REF_NAME: "docker.io/library/nginx"}, None),
        ({REF_NAME: f"docker.io/library/nginx:1.25@{Digest.of(b'')}"}, NGINX),
        ({REF_NAME: "nginx:1.25", IMAGE_NAME: "///"}, NGINX),
        ({REF_NAME: "../../etc:passwd"}, None),
    ],
)
def test_reference_of_an_entry(annotations: dict[str, str], expected: Reference | None) -> None:
    assert reference_of(entry(**annotations)) == expected


def test_entries_without_a_whole_reference_are_kept() -> None:
    made = read({**entry().to_json(), "annotations": {REF_NAME: "1.25"}}, annotations={"a": "b"})

    assert (made.tags, made.extras) == ({}, {"annotations": {"a": "b"}})
    assert json.loads(made.index_bytes())["manifests"][0]["annotations"] == {REF_NAME: "1.25"}


def test_one_image_named_twice_is_one() -> None:
    assert [*read(named("nginx:1"), named("docker.io/library/nginx:1")).tags] == [
        Reference.parse("nginx:1")
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "is no index"),
        (b'{"manifests": {}}', "is no index"),
        (b'{"manifests": [1]}', "an entry of index.json"),
        (b'{"manifests": [{"digest": "sha256:1", "size": 1}]}', "an entry of index.json"),
    ],
)
def test_catalogue_that_is_none_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ArchiveDamaged, match=message) as caught:
        parse_catalogue(content, "images")
    assert caught.value.message.startswith("images: ")


def test_catalogue_with_one_name_for_two_images_is_refused() -> None:
    with pytest.raises(ArchiveDamaged, match=r"two images under docker.io/library/nginx:1"):
        read(named("nginx:1", b"a"), named("nginx:1", b"b"))


def test_catalogue_nested_too_deep_is_not_written() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(ArchiveDamaged, match="nested too deep"):
        Catalogue(extras={"more": deep}).index_bytes()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
FIELDS = st.sampled_from(["mediaType", "digest", "size", "annotations", "platform", "urls"])


@given(st.lists(st.dictionaries(FIELDS, JSON) | JSON, max_size=4), JSON)
def test_catalogue_of_anything_is_read_or_refused(entries: list[object], extra: object) -> None:
    content = json.dumps({"manifests": entries, "more": extra}).encode()
    try:
        found = parse_catalogue(content, "images")
    except ArchiveDamaged:
        return
    again = parse_catalogue(found.index_bytes(), "images")
    assert again.index_bytes() == found.index_bytes()


@given(st.binary(max_size=40))
def test_catalogue_of_any_bytes_is_read_or_refused(content: bytes) -> None:
    tags = None
    with suppress(ArchiveDamaged):
        tags = parse_catalogue(content, "images").tags
    assert not tags


def test_notes_of_a_killed_run_are_replayed_in_order() -> None:
    notes = [
        tag_note(NGINX, entry(b"old")),
        tag_note(NGINX, entry(b"new", own="annotation")),
        origin_note(NGINX, ORIGIN),
        nameless_note(entry(b"signature")),
    ]

    assert replayed(Catalogue(), notes) == (
        Catalogue()
        .tagged(NGINX, entry(b"new", own="annotation"))
        .with_origin(NGINX, ORIGIN)
        .with_nameless(entry(b"signature"))
    )


@given(st.text(max_size=30) | JSON.map(json.dumps))
def test_notes_that_cannot_be_read_are_left_out(note: str) -> None:
    assert replayed(Catalogue(), [note]) == Catalogue()


def test_origin_of_a_tag_that_is_not_there_is_left_out() -> None:
    assert replayed(Catalogue(), [origin_note(NGINX, ORIGIN)]) == Catalogue()
