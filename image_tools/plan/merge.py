"""Which entries the destination's index holds in the end."""

from __future__ import annotations

from dataclasses import replace

from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform
from image_tools.plan.selection import Selection


def select(leaves: tuple[Descriptor, ...], selection: Selection) -> tuple[Descriptor, ...]:
    """The wanted entries of an image, in its order.

    An attestation is wanted when attestations are and the entry it speaks about is; an orphan
    never is.
    """
    wanted = {
        leaf.digest
        for leaf in leaves
        if not leaf.is_attestation and selection.matches(leaf.platform)
    }
    subjects = {str(digest) for digest in wanted} if selection.attestations else set()
    return tuple(
        leaf
        for leaf in leaves
        if (leaf.subject in subjects if leaf.is_attestation else _chosen(leaf, wanted, selection))
    )


def merge(
    wanted: tuple[Descriptor, ...], existing: tuple[Descriptor, ...]
) -> tuple[Descriptor, ...]:
    """`wanted` together with those `existing` entries whose platform this run does not bring.

    A platform that is brought anew takes the place of the old one; new platforms come behind,
    attestations last. Attestations of entries that go are left out.
    """
    brought = [entry for entry in wanted if not entry.is_attestation]
    kept = _kept(brought, existing)
    if not kept:
        return wanted
    subjects = {str(entry.digest) for entry in kept}
    attested = {entry.digest for entry in wanted}
    spoken = [
        entry
        for entry in existing
        if entry.is_attestation and entry.subject in subjects and entry.digest not in attested
    ]
    new_attestations = [entry for entry in wanted if entry.is_attestation]
    return (*_in_place(brought, existing), *spoken, *new_attestations)


def _chosen(leaf: Descriptor, wanted: set[Digest], selection: Selection) -> bool:
    return leaf.digest in wanted and selection.matches(leaf.platform)


def _kept(brought: list[Descriptor], existing: tuple[Descriptor, ...]) -> list[Descriptor]:
    platforms = {identity(entry) for entry in brought}
    return [
        entry for entry in existing if not entry.is_attestation and identity(entry) not in platforms
    ]


def _in_place(brought: list[Descriptor], existing: tuple[Descriptor, ...]) -> list[Descriptor]:
    """The platforms that stay and those that come; the first old one gives its place away."""
    waiting: dict[Platform | Digest, list[Descriptor]] = {}
    for entry in brought:
        waiting.setdefault(identity(entry), []).append(entry)
    replaced = frozenset(waiting)
    result: list[Descriptor] = []
    for entry in existing:
        if entry.is_attestation:
            continue
        known = identity(entry)
        result += waiting.pop(known, []) if known in replaced else [entry]
    return result + [entry for entries in waiting.values() for entry in entries]


def identity(entry: Descriptor) -> Platform | Digest:
    """What makes two entries the same one: the platform, or the digest where none is stated.

    Of a Windows version only the build counts, 10.0.17763: its fourth number is the patch level,
    which changes with every rebuild and which hosts do not match by (containerd's platforms).
    """
    if not entry.platform.is_known:
        return entry.digest
    platform = entry.platform.normalized
    if platform.os != "windows":
        return platform
    return replace(platform, os_version=".".join(platform.os_version.split(".")[:3]))
