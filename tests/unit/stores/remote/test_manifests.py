"""What a registry says about a manifest, held against its bytes."""

from __future__ import annotations

import pytest

from image_tools.errors import DigestMismatch
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.stores.remote.manifests import (
    digest_of,
    media_type_of,
    refuse_other,
    signed_payload,
    verify,
)
from tests.helpers.images import KINDS

OTHER = Digest.of(b"other")


@pytest.mark.parametrize("kind", ["oci_manifest", "docker_schema2", "oci_index", "docker_list"])
def test_media_type_is_read_from_the_content_where_none_is_told(kind: str) -> None:
    top = KINDS[kind](1).top

    assert media_type_of("application/json", top.data) == top.media_type
    assert media_type_of("application/vnd.own+json", top.data) == "application/vnd.own+json"


@pytest.mark.parametrize(
    ("content", "expected"), [(b"no json", ""), (KINDS["schema1_signed"](1).top.data, "signed")]
)
def test_media_type_of_schema_1_and_of_nonsense(content: bytes, expected: str) -> None:
    wanted = {"signed": media.DOCKER_SCHEMA1_SIGNED}.get(expected, "")

    assert media_type_of("", content) == wanted


def test_schema_1_has_the_digest_of_what_was_signed() -> None:
    top = KINDS["schema1_signed"](1).top
    raw, digest = RawManifest(top.media_type, top.data), Digest.parse(top.digest)

    verify(raw, digest, "r/a")

    assert digest_of(raw) == digest != raw.digest
    with pytest.raises(DigestMismatch, match=r"r/a: expected "):
        verify(raw, OTHER, "r/a")


def test_other_manifest_has_the_digest_of_its_bytes() -> None:
    top = KINDS["oci_index"](1).top
    raw = RawManifest(top.media_type, top.data)

    verify(raw, raw.digest, "r/a")

    assert digest_of(raw) == raw.digest
    with pytest.raises(DigestMismatch, match=r"r/a: expected "):
        verify(raw, OTHER, "r/a")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"signatures":[]}', b'{"signatures":[{"protected":"!"}]}']
)
def test_content_without_a_signature_has_no_payload(content: bytes) -> None:
    assert signed_payload(content) is None


def test_digest_told_must_be_the_wanted_one_or_not_comparable() -> None:
    refuse_other(None, OTHER, "r/a")
    refuse_other(OTHER, OTHER, "r/a")
    refuse_other(Digest("sha512", "0" * 128), OTHER, "r/a")
    with pytest.raises(DigestMismatch, match="r/a: the registry has sha256:"):
        refuse_other(Digest.of(b""), OTHER, "r/a")
