"""What an inspection asks a store, and what it makes of incomplete images."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from image_tools.commands.inspect import Inspector
from image_tools.commands.inspection import created_in
from image_tools.errors import PlatformMissing
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference
from image_tools.plan.selection import Selection
from image_tools.run.reader import Reader
from tests.helpers.memory_store import MemoryStore

NAME = "team/app"
ARM = {"os": "linux", "architecture": "arm64", "variant": "v8"}
AMD = {"os": "linux", "architecture": "amd64"}


def child(store: MemoryStore, platform: dict[str, str], *, kept: bool = True) -> dict[str, Any]:
    """Lay an image into the store; give its descriptor."""
    config = json.dumps({**platform, "created": "2024-01-31T11:22:33.5Z"}).encode()
    store.add_blob(NAME, config)
    blob = {"mediaType": media.OCI_CONFIG, "digest": str(Digest.of(config)), "size": len(config)}
    layer = {"mediaType": "layer", "digest": str(Digest.of(b"shared")), "size": 1000}
    raw = manifest(media.OCI_MANIFEST, config=blob, layers=[layer, layer])
    if kept:
        store.add_manifest(NAME, raw)
    return {**raw.descriptor.to_json(), "platform": platform}


def manifest(media_type: str, **fields: Any) -> RawManifest:
    return RawManifest(media_type, json.dumps({"schemaVersion": 2, **fields}).encode())


def index(store: MemoryStore, *entries: dict[str, Any]) -> Digest:
    raw = manifest(media.OCI_INDEX, mediaType=media.OCI_INDEX, manifests=list(entries))
    return store.add_manifest(NAME, raw, "1.0")


def attestation(subject: str) -> dict[str, Any]:
    raw = manifest(media.OCI_MANIFEST, about=subject)
    notes = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": subject,
    }
    unknown = {"os": "unknown", "architecture": "unknown"}
    return {**raw.descriptor.to_json(), "annotations": notes, "platform": unknown}


def inspector(store: MemoryStore) -> Inspector:
    return Inspector(store, Reference("memory.example", NAME, "1.0"), Reader())


def asked(store: MemoryStore) -> list[str]:
    return [call.operation for call in store.calls]


def test_image_deep_counts_shared_blobs_once() -> None:
    store = MemoryStore()
    entries = [child(store, AMD), child(store, ARM)]
    orphan = attestation("sha256:" + "0" * 64)
    index(store, *entries, attestation(entries[1]["digest"]), orphan)

    found = asyncio.run(inspector(store).image(deep=True, attached=False))

    sizes = [image.size for image in found.images]
    assert [(str(i.platform), i.layers, i.created) for i in found.images] == [
        ("linux/amd64", 2, "2024-01-31T11:22:33.5Z"),
        ("linux/arm64/v8", 2, "2024-01-31T11:22:33.5Z"),
    ]
    assert found.size == sum(sizes) - 1000
    assert [len(image.attestations) for image in found.images] == [0, 1]
    assert found.orphans == (orphan["digest"],)


def test_image_not_deep_reads_the_index_alone() -> None:
    store = MemoryStore()
    index(store, child(store, AMD))

    found = asyncio.run(inspector(store).image(deep=False, attached=False))

    assert asked(store) == ["manifest_head", "manifest"]
    assert (found.size, found.images[0].layers) == (None, None)


def test_image_attached_asks_once_for_each_kind() -> None:
    store = MemoryStore()
    top = index(store)
    store.add_manifest(NAME, manifest("x", about="signature"), f"{top.as_tag}.sig")
    subject = {"digest": str(top), "mediaType": media.OCI_INDEX, "size": 1}
    referrer = manifest(media.OCI_MANIFEST, subject=subject)
    store.add_manifest(NAME, referrer)

    found = asyncio.run(inspector(store).image(deep=True, attached=True))

    assert [(one.kind, one.tag) for one in found.attached] == [
        ("signature", f"{top.as_tag}.sig"),
        (media.OCI_MANIFEST, ""),
    ]
    assert asked(store) == ["manifest_head", "manifest", *["manifest_head"] * 3, "referrers"]


def test_image_child_that_is_gone_is_missing_the_others_are_shown() -> None:
    store = MemoryStore()
    index(store, child(store, AMD, kept=False), child(store, ARM))

    found = asyncio.run(inspector(store).image(deep=True, attached=False))

    assert [(image.present, image.size is None) for image in found.images] == [
        (False, True),
        (True, False),
    ]
    assert found.size is None


def test_image_selection_without_platform_is_said() -> None:
    store = MemoryStore()
    index(store, child(store, AMD))
    wanted = Selection(architectures=frozenset({"s390x"}), systems=frozenset({"linux"}))

    with pytest.raises(PlatformMissing) as caught:
        asyncio.run(inspector(store).image(wanted, deep=True, attached=False))

    assert str(caught.value) == "memory.example/team/app:1.0: no image for linux/s390x"
    assert caught.value.advice == "it has linux/amd64"


def test_config_without_selection_is_of_this_machine() -> None:
    store = MemoryStore()
    index(store, child(store, AMD), child(store, ARM))

    content = asyncio.run(inspector(store).config(None, lambda: "aarch64"))

    assert json.loads(content)["architecture"] == "arm64"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"created": 1}', b"[" * 100_000])
def test_created_in_anything_else_is_empty(content: bytes) -> None:
    assert created_in(content) == ""
