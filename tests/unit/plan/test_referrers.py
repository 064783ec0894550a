"""What lies beside an image: whose, where, and what is said of it."""

from __future__ import annotations

import pytest

from image_tools.oci import media
from image_tools.oci.descriptor import ATTESTATION_SUBJECT, ATTESTATION_TYPE, Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Manifest, RawManifest
from image_tools.oci.platform import Platform
from image_tools.oci.reference import Reference
from image_tools.plan.plan import Action, FinalIndex, Plan
from image_tools.plan.referrers import (
    Referrer,
    cosign_tags,
    holds_all,
    is_referrer_tag,
    kind_of,
    listed,
    split_referrers,
    subjects,
    uncovered,
)


def digest(name: str) -> Digest:
    return Digest.of(name.encode())


def entry(name: str, artifact_type: str = "", **platform: str) -> Descriptor:
    return Descriptor(
        media_type=media.OCI_MANIFEST,
        digest=digest(name),
        size=1,
        platform=Platform(**platform),
        artifact_type=artifact_type,
    )


def referrer(name: str, subject: str, kind: str = "signature", tag: str = "") -> Referrer:
    return Referrer(subject=digest(subject), descriptor=entry(name), kind=kind, tag=tag)


def test_tags_are_those_of_cosign() -> None:
    hexadecimal = digest("app").hex

    assert cosign_tags(digest("app")) == (
        ("signature", f"sha256-{hexadecimal}.sig"),
        ("attestation", f"sha256-{hexadecimal}.att"),
        ("sbom", f"sha256-{hexadecimal}.sbom"),
    )


@pytest.mark.parametrize(
    ("kind", "vouches"),
    [
        ("signature", True),
        ("attestation", True),
        ("sbom", False),
        ("application/vnd.cncf.notary.signature", True),
        ("application/vnd.dev.sigstore.bundle.v0.3+json", True),
        ("application/vnd.in-toto+json", True),
        ("application/spdx+json", False),
    ],
)
def test_vouches_what_is_signed(kind: str, vouches: bool) -> None:
    assert referrer("s", "app", kind).vouches is vouches


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (entry("a", "x/signature"), "x/signature"),
        (entry("a"), media.OCI_MANIFEST),
    ],
)
def test_kind_of_a_referrer_is_its_artifact_type(found: Descriptor, kind: str) -> None:
    assert kind_of(found) == kind


def test_subjects_are_the_source_its_inner_indexes_and_the_platforms_wanted() -> None:
    attestation = Descriptor(
        media_type=media.OCI_MANIFEST,
        digest=digest("attestation"),
        size=1,
        annotations=(
            (ATTESTATION_SUBJECT, str(digest("amd64"))),
            (ATTESTATION_TYPE, "attestation-manifest"),
        ),
    )
    inner = RawManifest(media.OCI_INDEX, b"inner")
    decided = Plan(
        action=Action.COPY,
        wanted=(entry("amd64"), entry("arm64"), attestation, entry("amd64")),
        nested=(inner,),
    )

    found = subjects(digest("top"), decided)

    assert found == (digest("top"), inner.digest, digest("amd64"), digest("arm64"))


def test_listed_keeps_what_is_there_and_each_once() -> None:
    old, new = entry("old", "x/old", os="plan9", architecture="mips"), entry("new")
    nowhere = entry("new", os="unknown", architecture="unknown")

    assert listed([old], [new, old]) == FinalIndex(media.OCI_INDEX, (old, nowhere))


def test_split_referrers_takes_what_refers_to_a_referrer_along() -> None:
    sbom, about_sbom = referrer("sbom", "top", "sbom"), referrer("about", "sbom")
    platform = referrer("p", "amd64")

    assert split_referrers([sbom, platform, about_sbom], digest("top")) == (
        (sbom, about_sbom),
        (platform,),
    )


def layer(payload: str, signature: str) -> Descriptor:
    return Descriptor(
        media_type="x", digest=digest(payload), size=1, annotations=(("signature", signature),)
    )


@pytest.mark.parametrize(
    ("layers", "others", "holds"),
    [
        ([("p", "1")], [("p", "1")], True),
        ([("p", "1"), ("p", "2")], [("p", "2")], True),
        ([("p", "1")], [("p", "2")], False),
        ([("p", "1")], [], True),
        ([], [("p", "1")], False),
    ],
)
def test_holds_all_tells_signatures_apart_by_their_annotations(
    layers: list[tuple[str, str]], others: list[tuple[str, str]], holds: bool
) -> None:
    made = [
        Manifest(media.OCI_MANIFEST, entry("config"), tuple(layer(*one) for one in some))
        for some in (layers, others)
    ]

    assert holds_all(*made) is holds


@pytest.mark.parametrize(
    ("kinds", "kept", "said"),
    [
        ([], False, ()),
        (["sbom"], False, ()),
        (["signature"], False, ("the signature of", "--keep-digest", "--arch all", "--sigstore-")),
        (["signature", "sbom", "attestation"], True, ("the signature and attestation of", "too")),
    ],
)
def test_uncovered_says_what_is_lost_and_what_to_do(
    kinds: list[str], kept: bool, said: tuple[str, ...]
) -> None:
    found = uncovered([referrer(kind, "top", kind) for kind in kinds], digest("new"), kept=kept)

    names = (str(digest("top")), str(digest("new"))) if said else ()
    assert bool(found) is bool(said)
    assert all(words in found for words in (*said, *names))


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("1.25", False),
        (f"sha256-{'a' * 64}", True),
        (f"sha256-{'a' * 64}.sig", True),
        (f"sha256-{'a' * 64}.att", True),
        (f"sha256-{'a' * 63}.sig", False),
        (f"sha256-{'a' * 64}-linux-amd64", False),
    ],
)
def test_is_referrer_tag_knows_tags_behind_a_digest(tag: str, expected: bool) -> None:
    assert is_referrer_tag(Reference("reg.example", "app", tag)) is expected


def test_uncovered_does_not_advise_what_was_refused() -> None:
    found = uncovered(
        [referrer("signature", "top", "signature")], digest("new"), kept=False, asked=True
    )
    assert "--keep-digest" not in found
    assert "; sign again (--sigstore-private-key), or copy all of it" in found
