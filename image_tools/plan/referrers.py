"""What lies beside an image and speaks about it: signatures, attestations, bills of material.

cosign keeps them in tags behind the subject's digest (its specs/SIGNATURE_SPEC.md); OCI 1.1 keeps
them as referrers (distribution spec, "Listing Referrers").
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
    """One manifest that speaks about `subject`: under cosign's `tag`, or as a referrer.

    `kind` is a word for people: `signature`, `attestation`, `sbom`, or an artifact type.
    """

    subject: Digest
    descriptor: Descriptor
    kind: str
    tag: str = ""

    @property
    def vouches(self) -> bool:
        """Whether it is a signature or an attestation: worth nothing for another digest."""
        return any(mark in self.kind for mark in _MARKS)


@dataclass(frozen=True, slots=True)
class FoundReferrers:
    """What was found to speak about an image, and what kept one from looking."""

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
    """The kinds and tags under which cosign lays what speaks about `subject`."""
    return tuple((kind, f"{subject.as_tag}.{end}") for kind, end in COSIGN)


def is_referrer_tag(reference: Reference) -> bool:
    """Whether a reference is one of the tags behind a digest, and no image of its own."""
    return _TAG.fullmatch(reference.tag or "") is not None


def kind_of(entry: Descriptor) -> str:
    """What the entry of a list of referrers is called: its artifact type, else its media type."""
    return entry.artifact_type or entry.media_type


def subjects(source: Digest, decided: Plan) -> tuple[Digest, ...]:
    """Whose companions are looked for: the source's own, its inner indexes', its platforms'.

    BuildKit's attestations in an index are left out: nobody signs those one by one.
    """
    platforms = (entry.digest for entry in decided.wanted if not entry.is_attestation)
    return tuple(dict.fromkeys((source, *(raw.digest for raw in decided.nested), *platforms)))


def listed(present: Iterable[Descriptor], new: Iterable[Descriptor]) -> FinalIndex:
    """The index under the tag that lists referrers where a registry does not: old ones stay.

    An entry without a platform gets BuildKit's `unknown/unknown`: else buildx looks for one.
    """
    entries = {entry.digest: _placed(entry) for entry in (*present, *new)}
    return FinalIndex(media.OCI_INDEX, tuple(entries.values()))


def holds_all(manifest: Manifest, other: Manifest) -> bool:
    """Whether one manifest of cosign's has every signature of the other."""
    return _layers(other) <= _layers(manifest)


def apart(
    companions: Iterable[Referrer], subject: Digest
) -> tuple[tuple[Referrer, ...], tuple[Referrer, ...]]:
    """Those about `subject`, with what refers to them in turn, and all others.

    What refers to a companion stands behind it.
    """
    spoken_of, about, others = {subject}, list[Referrer](), list[Referrer]()
    for companion in companions:
        if companion.subject in spoken_of:
            spoken_of.add(companion.descriptor.digest)
            about.append(companion)
        else:
            others.append(companion)
    return tuple(about), tuple(others)


def uncovered(
    companions: Iterable[Referrer], published: Digest, *, kept: bool, asked: bool = False
) -> str:
    """What is said where `companions` speak about another digest than the `published` one.

    Empty when none of them vouches for anything. `kept`: what they speak about is there, too;
    `asked`: that was asked for, so it is no way out where it was refused.
    """
    vouching = [one for one in companions if one.vouches]
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
    # All cosign signatures of one digest and name have one payload: annotations tell them apart.
    return frozenset((layer.digest, layer.annotations) for layer in manifest.layers)
