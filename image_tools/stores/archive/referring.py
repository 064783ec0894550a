"""Manifests that speak about others (distribution spec, "Listing Referrers"): pure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from image_tools.errors import InvalidReference
from image_tools.oci.descriptor import Descriptor, pairs
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest


def subject_of(raw: RawManifest) -> Digest | None:
    """The digest of what a manifest speaks about; None where it names no subject."""
    subject = _object(raw).get("subject")
    stated = subject.get("digest") if isinstance(subject, dict) else None
    try:
        return Digest.parse(stated) if isinstance(stated, str) else None
    except InvalidReference:
        return None


def referrer(raw: RawManifest) -> Descriptor:
    """A manifest as a list of referrers has it: with its artifact type and its annotations."""
    document = _object(raw)
    config = document.get("config")
    kind = document.get("artifactType") or (
        config.get("mediaType") if isinstance(config, dict) else None
    )
    return replace(
        raw.descriptor,
        annotations=pairs(document.get("annotations")),
        artifact_type=kind if isinstance(kind, str) else "",
    )


def _object(raw: RawManifest) -> dict[str, Any]:
    try:
        found = json.loads(raw.content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
