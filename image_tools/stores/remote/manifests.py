"""What a registry says about a manifest, held against its bytes."""

from __future__ import annotations

import base64
import json
from typing import Any

from image_tools.errors import DigestMismatch, InvalidManifest
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, Manifest, RawManifest, parse

_NAMES_A_TYPE = "application/vnd."


def told_type(stated: str) -> str:
    """The media type in an answer without a body; empty where it says nothing of a manifest."""
    return stated if stated.startswith(_NAMES_A_TYPE) else ""


def media_type_of(stated: str, content: bytes) -> str:
    """The type of a manifest: as `stated`, by its content where the registry says nothing."""
    if told_type(stated):
        return stated
    try:
        found = parse(RawManifest("", content))
    except InvalidManifest:
        return stated
    if isinstance(found, (Manifest, Index)):
        return found.media_type
    signed = b'"signatures"' in content
    return media.DOCKER_SCHEMA1_SIGNED if signed else media.DOCKER_SCHEMA1


def verify(manifest: RawManifest, digest: Digest, reference: str) -> None:
    """Nothing when `manifest` has `digest`; DigestMismatch otherwise.

    The digest of a signed schema 1 manifest is that of what was signed (Docker's
    manifest-v2-1.md), so that one counts too.
    """
    try:
        digest.verify(manifest.content)
    except DigestMismatch as error:
        if manifest.media_type in media.SCHEMA1 and _is_payload(manifest.content, digest):
            return
        raise DigestMismatch(f"{reference}: {error}") from error


def digest_of(manifest: RawManifest) -> Digest:
    """The digest a registry gives `manifest`: of schema 1 that of what was signed."""
    payload = signed_payload(manifest.content) if manifest.media_type in media.SCHEMA1 else None
    return manifest.digest if payload is None else Digest.of(payload)


def refuse_other(found: Digest | None, wanted: Digest, reference: str) -> None:
    """Nothing when a registry told `wanted` or nothing comparable; DigestMismatch otherwise."""
    if found is not None and found.algorithm == wanted.algorithm and found != wanted:
        raise DigestMismatch(f"{reference}: the registry has {found} in its place")


def _is_payload(content: bytes, digest: Digest) -> bool:
    payload = signed_payload(content)
    if payload is None:
        return False
    found = digest.hasher()
    found.update(payload)
    return found.hexdigest() == digest.hex


def signed_payload(content: bytes) -> bytes | None:
    """What the signature of a schema 1 manifest covers, None where it has no readable one."""
    try:
        protected = json.loads(content)["signatures"][0]["protected"]
        told: dict[str, Any] = json.loads(_base64url(protected))
        return content[: int(told["formatLength"])] + _base64url(told["formatTail"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
