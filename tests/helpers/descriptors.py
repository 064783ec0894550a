"""Entries of indexes by short names: `entry("a")` always has the same digest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from image_tools.oci import media
from image_tools.oci.descriptor import ATTESTATION_SUBJECT, ATTESTATION_TYPE, Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, RawManifest, index_bytes
from image_tools.oci.platform import Platform

UNKNOWN = Platform("unknown", "unknown")


def platform(text: str) -> Platform:
    """The platform `os/architecture[/variant][:os.version]`; empty text states nothing."""
    named, _, version = text.partition(":")
    system, architecture, variant, *_ = [*named.split("/"), "", ""]
    return Platform(system, architecture, variant, version)


def entry(
    name: str,
    where: str | Platform = "linux/amd64",
    *,
    media_type: str = media.OCI_MANIFEST,
    annotations: Mapping[str, str] | None = None,
) -> Descriptor:
    """The entry `name` of platform `where`."""
    return Descriptor(
        media_type=media_type,
        digest=Digest.of(name.encode()),
        size=len(name),
        platform=platform(where) if isinstance(where, str) else where,
        annotations=tuple(sorted((annotations or {}).items())),
    )


def attestation(of: str, name: str = "") -> Descriptor:
    """BuildKit's attestation about the entry called `of`."""
    return entry(
        name or f"attestation of {of}",
        UNKNOWN,
        annotations={
            ATTESTATION_TYPE: "attestation-manifest",
            ATTESTATION_SUBJECT: str(Digest.of(of.encode())),
        },
    )


def index(*entries: Descriptor, media_type: str = media.OCI_INDEX) -> RawManifest:
    """An index over `entries`."""
    return RawManifest(media_type, index_bytes(Index(media_type, entries)))


def fields(found: Descriptor) -> tuple[Descriptor, Mapping[str, Any]]:
    """A descriptor with the fields that comparing two descriptors leaves out."""
    return found, found.fields


PLATFORMS = (
    "linux/amd64",
    "linux/arm64",
    "linux/arm64/v8",
    "linux/arm/v6",
    "linux/arm/v7",
    "linux/arm",
    "windows/amd64:10.0.17763.1",
    "windows/amd64:10.0.17763.2",
    "windows/amd64:10.0.20348.1",
    "",
    "unknown/unknown",
)
names = st.sampled_from("abcdef")
images = st.builds(entry, names, st.sampled_from(PLATFORMS))
entries = st.lists(images | st.builds(attestation, names), max_size=8).map(tuple)
