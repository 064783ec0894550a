"""Signatures, attestations, SBOMs and other manifests about an image.

They are referrers (distribution spec 1.1, "Listing Referrers"), or have a tag made from the digest
of the image (cosign's specs/SIGNATURE_SPEC.md). Both are called referrers here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Manifest
from image_tools.oci.platform import Platform
from image_tools.oci.reference import Reference
from image_tools.plan.plan import FinalIndex, Plan

SIGNATURE, ATTESTATION, SBOM = "signature", "attestation", "sbom"
COSIGN = ((SIGNATURE, "sig"), (ATTESTATION, "att"), (SBOM, "sbom"))
_NOWHERE = Platform(os="unknown", architecture="unknown")
_SIGN = "sign again (--sigstore-private-key)"
_KEEP = "keep the source's digest as well (--keep-digest)"
_COPY = "or copy all of it (--arch all --os all, --overwrite where there is more)"
_TAG = re.compile(r"sha(256-[0-9a-f]{64}|512-[0-9a-f]{128})(\.[a-z]+)?")
_MARKS = (SIGNATURE, ATTESTATION, "sigstore", "cosign", "in-toto")


@dataclass(frozen=True, slots=True, kw_only=True)
class Referrer:
    """A manifest about `subject`, with a `tag` of cosign's or without.

    `kind` is for people: `signature`, `attestation`, `sbom`, or an artifact type.
    """

    subject: Digest
    descriptor: Descriptor
    kind: str
    tag: str = ""

    @property
    def vouches(self) -> bool:
        """Return whether it is a signature or an attestation, valid for one digest only."""
        return any(mark in self.kind for mark in _MARKS)


@dataclass(frozen=True, slots=True)
class FoundReferrers:
    """The referrers of an image, and warnings about those that could not be listed."""

    referrers: tuple[Referrer, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def joined(cls, found: Iterable[FoundReferrers]) -> FoundReferrers:
        """Return everything in `found`, each warning once."""
        known = tuple(found)
        return cls(
            tuple(referrer for one in known for referrer in one.referrers),
            tuple(dict.fromkeys(warning for one in known for warning in one.warnings)),
        )


def cosign_tags(subject: Digest) -> tuple[tuple[str, str], ...]:
    """Return the kinds and tags that cosign uses for `subject`."""
    return tuple((kind, f"{subject.as_tag}.{end}") for kind, end in COSIGN)


def is_referrer_tag(reference: Reference) -> bool:
    """Return whether the tag of a reference is made from a digest, so that it is not an image."""
    return _TAG.fullmatch(reference.tag or "") is not None


def kind_of(entry: Descriptor) -> str:
    """Return the kind of an entry of a list of referrers: its artifact type, else media type."""
    return entry.artifact_type or entry.media_type


def subjects(source: Digest, decided: Plan) -> tuple[Digest, ...]:
    """Return the digests whose referrers are copied: of the source, nested indexes and platforms.

    BuildKit's attestations in an index are left out: they are not signed one by one.
    """
    platforms = (entry.digest for entry in decided.wanted if not entry.is_attestation)
    return tuple(dict.fromkeys((source, *(raw.digest for raw in decided.nested), *platforms)))


def listed(present: Iterable[Descriptor], new: Iterable[Descriptor]) -> FinalIndex:
    """Return the index for the tag that lists referrers, if the registry does not list them.

    The `present` entries stay. An entry without a platform gets `unknown/unknown`, as in BuildKit;
    otherwise buildx would look for one.
    """
    entries = {entry.digest: _placed(entry) for entry in (*present, *new)}
    return FinalIndex(media.OCI_INDEX, tuple(entries.values()))


def holds_all(manifest: Manifest, other: Manifest) -> bool:
    """Return whether a manifest of cosign's has every signature of the other."""
    return _layers(other) <= _layers(manifest)


def split_referrers(
    referrers: Iterable[Referrer], subject: Digest
) -> tuple[tuple[Referrer, ...], tuple[Referrer, ...]]:
    """Return the referrers of `subject`, with their own referrers, and all others.

    A referrer of a referrer comes after it.
    """
    spoken_of, about, others = {subject}, list[Referrer](), list[Referrer]()
    for referrer in referrers:
        if referrer.subject in spoken_of:
            spoken_of.add(referrer.descriptor.digest)
            about.append(referrer)
        else:
            others.append(referrer)
    return tuple(about), tuple(others)


def uncovered(
    referrers: Iterable[Referrer], published: Digest, *, kept: bool, asked: bool = False
) -> str:
    """Return the warning about `referrers` of another digest than the `published` one.

    Empty if none of them is a signature or an attestation. `kept`: their subject is at the
    destination as well. `asked`: the user asked for that, so the warning does not suggest it.
    """
    vouching = [one for one in referrers if one.vouches]
    if not vouching:
        return ""
    kinds = " and ".join(dict.fromkeys(one.kind for one in vouching))
    return (
        f"the {kinds} of the source's {vouching[0].subject} does not cover {published}, which the"
        f" tag leads to; {_ways_out(kept, asked)}"
    )


def _ways_out(kept: bool, asked: bool) -> str:
    if kept:
        return f"it holds for the source's digest, which is there too: use that one, or {_SIGN}"
    return ", ".join([_SIGN, *([] if asked else [_KEEP]), _COPY])


def _placed(entry: Descriptor) -> Descriptor:
    return entry if entry.platform.is_known else replace(entry, platform=_NOWHERE)


def _layers(manifest: Manifest) -> frozenset[tuple[Digest, tuple[tuple[str, str], ...]]]:
    # All cosign signatures of one digest and name have the same payload; annotations differ.
    return frozenset((layer.digest, layer.annotations) for layer in manifest.layers)
