"""Descriptors: what is kept, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.errors import InvalidManifest
from image_tools.oci.descriptor import ATTESTATION_SUBJECT, ATTESTATION_TYPE, Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform
from tests.helpers.examples import examples

D = Digest("sha256", "a" * 64)
BARE = {"mediaType": "t", "digest": str(D), "size": 3}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
texts = st.text(max_size=5)
words = texts.filter(bool).filter(str.isprintable)
stated_platforms = st.fixed_dictionaries(
    {"os": words, "architecture": words},
    optional={
        "variant": words,
        "os.version": words,
        "os.features": st.lists(words, min_size=1, max_size=2),
        "features": json_values,
    },
)
whole = st.fixed_dictionaries(
    {"mediaType": texts, "digest": st.binary().map(lambda b: str(Digest.of(b)))}
    | {"size": st.integers(0, 2**63 - 1)},
    optional={
        "platform": stated_platforms,
        "annotations": st.dictionaries(texts, texts, min_size=1, max_size=3),
        "urls": st.lists(texts, max_size=2),
        "data": texts,
        "artifactType": texts.filter(bool),
        "x.unknown": json_values,
    },
)


@given(whole)
def test_descriptor_survives_json_and_back_with_all_its_fields(fields) -> None:
    descriptor = Descriptor.from_json(fields)

    assert descriptor.to_json() == fields
    assert Descriptor.from_json(descriptor.to_json()) == descriptor
    rare = fields.keys() & {"urls", "data", "x.unknown"}
    assert descriptor.has_rare_fields is bool(rare or "features" in fields.get("platform", ()))


@examples(50)
@given(json_values | st.dictionaries(st.sampled_from([*BARE, "platform", "urls"]), json_values))
def test_any_json_is_a_descriptor_or_an_invalid_manifest(fields) -> None:
    try:
        descriptor = Descriptor.from_json(fields)
    except InvalidManifest:
        return
    assert str(descriptor.digest) == fields["digest"]


WRONG = {
    "no-object": ([], "a descriptor is not a JSON object"),
    "no-digest": ({"size": 3}, "a descriptor has the digest None"),
    "wrong-digest": ({**BARE, "digest": "sha256:x"}, "a descriptor's digest is wrong"),
    "other-algorithm": ({**BARE, "digest": "md5:ab"}, "'md5' is not supported"),
    "no-size": ({"digest": str(D)}, "a descriptor's size is no number of bytes"),
    "negative": ({**BARE, "size": -1}, "size is no number of bytes"),
    "true": ({**BARE, "size": True}, "size is no number of bytes"),
    "fraction": ({**BARE, "size": 1.0}, "size is no number of bytes"),
    "over-int64": ({**BARE, "size": 2**63}, "size is no number of bytes"),
    "wrong-type": ({**BARE, "mediaType": 1}, "a descriptor has the media type 1"),
}


@pytest.mark.parametrize(("fields", "reason"), WRONG.values(), ids=WRONG)
def test_from_json_wrong_fields_are_refused(fields, reason) -> None:
    with pytest.raises(InvalidManifest, match=reason):
        Descriptor.from_json(fields)


@pytest.mark.parametrize(
    "more",
    [
        {"platform": None},
        {"platform": []},
        {"annotations": None},
        {"annotations": {"a": 1, "b": []}},
    ],
    ids=repr,
)
def test_from_json_without_use_for_optional_fields_leaves_them_out(more) -> None:
    found = Descriptor.from_json({**BARE, **more})

    assert found == Descriptor(media_type="t", digest=D, size=3)
    assert found.to_json() == BARE


def test_from_json_without_media_type_is_allowed() -> None:
    assert Descriptor.from_json({"digest": str(D), "size": 0}).media_type == ""


def test_to_json_of_a_completed_platform_keeps_its_own_rare_fields() -> None:
    found = Descriptor.from_json({**BARE, "platform": {"os": "linux", "features": ["sse4"]}})
    completed = Descriptor(
        media_type=found.media_type,
        digest=found.digest,
        size=found.size,
        platform=found.platform.completed_from(Platform("linux", "arm64", "v8")),
        fields=found.fields,
    )

    assert completed.to_json()["platform"] == {
        "features": ["sse4"],
        "architecture": "arm64",
        "os": "linux",
        "variant": "v8",
    }


ATTESTATIONS = {
    "attestation": (
        {ATTESTATION_TYPE: "attestation-manifest", ATTESTATION_SUBJECT: str(D)},
        True,
        str(D),
    ),
    "without-subject": ({ATTESTATION_TYPE: "attestation-manifest"}, True, ""),
    "other-type": ({ATTESTATION_TYPE: "other", ATTESTATION_SUBJECT: str(D)}, False, str(D)),
    "none": ({"a": "b"}, False, ""),
}


@pytest.mark.parametrize(
    ("annotations", "is_one", "subject"), ATTESTATIONS.values(), ids=ATTESTATIONS
)
def test_attestation_is_known_by_its_annotations(annotations, is_one, subject) -> None:
    found = Descriptor.from_json({**BARE, "annotations": annotations})

    assert (found.is_attestation, found.subject) == (is_one, subject)
