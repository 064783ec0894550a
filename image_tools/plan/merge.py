"""The wanted entries of an image, and how they merge with those of the destination."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform
from image_tools.plan.selection import Fit, Selection


def select(leaves: tuple[Descriptor, ...], selection: Selection) -> tuple[Descriptor, ...]:
    """Return the wanted entries of an image, in order.

    An entry without a platform is copied together with chosen ones. If no entry states a platform,
    nothing is filtered. An attestation is wanted if `selection` includes attestations and its image
    is wanted. If no image is left out, all attestations are wanted, so that the index keeps its
    bytes.
    """
    images = [leaf for leaf in leaves if not leaf.is_attestation]
    wanted = _wanted(images, selection)
    if (
        selection.attestations
        and len(wanted) == len(images)
        and (images or selection.is_everything)
    ):
        return leaves
    subjects = {str(leaf.digest) for leaf in wanted} if selection.attestations else set()
    positions = {id(leaf) for leaf in wanted}
    return tuple(
        leaf
        for leaf in leaves
        if (leaf.subject in subjects if leaf.is_attestation else id(leaf) in positions)
    )


def has_platforms(leaves: Iterable[Descriptor]) -> bool:
    """Return whether an image among `leaves` states its platform; otherwise nothing is filtered."""
    return any(leaf.platform.is_known for leaf in leaves if not leaf.is_attestation)


def staying(
    existing: tuple[Descriptor, ...],
    wanted: tuple[Descriptor, ...],
    selection: Selection,
) -> tuple[Descriptor, ...]:
    """Return `existing` without the chosen platforms that `wanted` does not have.

    They are gone at the source, so they are removed from the tag.
    """
    brought = {identity(entry) for entry in wanted if not entry.is_attestation}
    return tuple(
        entry
        for entry in existing
        if entry.is_attestation
        or selection.fit(entry.platform) is Fit.EXCLUDED
        or identity(entry) in brought
    )


def merge(
    wanted: tuple[Descriptor, ...], existing: tuple[Descriptor, ...]
) -> tuple[Descriptor, ...]:
    """Return `wanted`, and the `existing` entries of other platforms.

    A wanted entry takes the position of the existing one of its platform; new platforms follow,
    then attestations. Attestations of entries that are replaced are dropped.
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


def _wanted(images: list[Descriptor], selection: Selection) -> list[Descriptor]:
    if not has_platforms(images):
        return images
    fits = [(leaf, selection.fit(leaf.platform)) for leaf in images]
    if all(fit is not Fit.CHOSEN for _, fit in fits):
        return []
    return [leaf for leaf, fit in fits if fit is not Fit.EXCLUDED]


def not_brought(
    existing: tuple[Descriptor, ...], wanted: tuple[Descriptor, ...]
) -> tuple[Descriptor, ...]:
    """Return the images among `existing` whose platform `wanted` does not have."""
    return tuple(_kept([entry for entry in wanted if not entry.is_attestation], existing))


def _kept(brought: list[Descriptor], existing: tuple[Descriptor, ...]) -> list[Descriptor]:
    platforms = {identity(entry) for entry in brought}
    return [
        entry for entry in existing if not entry.is_attestation and identity(entry) not in platforms
    ]


def _in_place(brought: list[Descriptor], existing: tuple[Descriptor, ...]) -> list[Descriptor]:
    """Return the images; those of a platform go where the first existing one was."""
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
    """Return what two entries of one image share: the platform, or the digest if none is stated.

    Of a Windows version only the build counts (10.0.17763). The fourth number is the patch level,
    which changes with every build, and hosts do not match it (containerd's platforms package).
    """
    if not entry.platform.is_known:
        return entry.digest
    platform = entry.platform.normalized
    if platform.os != "windows":
        return platform
    return replace(platform, os_version=".".join(platform.os_version.split(".")[:3]))
