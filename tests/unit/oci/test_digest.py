"""Digests: what is one, and whether bytes have it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.errors import DigestMismatch, InvalidReference
from image_tools.oci.digest import Digest

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(st.binary(max_size=40))
def test_digest_of_bytes_survives_text_and_verifies_them(content) -> None:
    digest = Digest.of(content)

    assert Digest.parse(str(digest)) == digest
    digest.verify(content)


def test_digest_of_nothing_is_the_known_one() -> None:
    assert str(Digest.of(b"")) == f"sha256:{EMPTY}"
    assert Digest.of(b"").short == EMPTY[:12]


def test_verify_other_bytes_names_both_digests() -> None:
    digest = Digest.of(b"x")

    with pytest.raises(DigestMismatch) as caught:
        digest.verify(b"")

    assert str(caught.value) == f"expected {digest}, got sha256:{EMPTY}"


def test_verify_sha512_uses_that_algorithm() -> None:
    hasher = Digest("sha512", "").hasher()
    hasher.update(b"x")

    digest = Digest.parse(f"sha512:{hasher.hexdigest()}")

    digest.verify(b"x")
    with pytest.raises(DigestMismatch, match="got sha512:"):
        digest.verify(b"y")


INVALID = {
    "empty": "",
    "no-colon": EMPTY,
    "no-hex": "sha256:",
    "short": f"sha256:{EMPTY[:-1]}",
    "long": f"sha256:{EMPTY}0",
    "upper-case": f"sha256:{EMPTY.upper()}",
    "upper-case-algorithm": f"SHA256:{EMPTY}",
    "line-end": f"sha256:{EMPTY}\n",
    "blank": f" sha256:{EMPTY}",
    "other-algorithm": f"md5:{EMPTY[:32]}",
    "sha512-of-sha256-length": f"sha512:{EMPTY}",
    "other-digits": "sha256:" + "\u0660" * 64,
    "path": f"sha256:../{EMPTY[3:]}",
}


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
def test_parse_digest_invalid_is_refused(text) -> None:
    with pytest.raises(InvalidReference, match=r"digest"):
        Digest.parse(text)
