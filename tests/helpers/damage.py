"""Damage to a mirrored image: through the registry's API, and in its storage behind its back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helpers import images
from tests.helpers.client import Client, fetch_manifest, push, push_blob, push_manifest
from tests.helpers.content import DOCKER_LIST, INDEX_TYPES, Image, Manifest, compact
from tests.helpers.registry import Registry

TAG = "1.0"
ROOT = Path("docker/registry/v2")
STRANGE = {"architecture": "riscv64", "os": "linux"}


@dataclass(frozen=True, slots=True)
class Spot:
    """A repository of a docker-registry, and the image that was mirrored into it as `TAG`.

    The victim of most damage is the last leaf: it lies deepest.
    """

    registry: Registry
    repository: str
    image: Image

    @property
    def child(self) -> str:
        """Give the digest of the victim."""
        return self.image.leaves[-1].digest

    @property
    def layer(self) -> str:
        """Give the digest of the victim's first layer."""
        found: str = json.loads(self.image.find(self.child).data)["layers"][0]["digest"]
        return found

    @property
    def folder(self) -> Path:
        """Give the folder of the repository in the registry's storage: links, no content."""
        return self.registry.storage / ROOT / "repositories" / self.repository

    def content(self, digest: str) -> Path:
        """Give the file of a blob or manifest, which all repositories share."""
        name = digest.removeprefix("sha256:")
        return self.registry.storage / ROOT / "blobs/sha256" / name[:2] / name / "data"

    def twin(self, repository: str) -> Spot:
        """Give the same image in another repository, of which the registry remembers nothing."""
        twin = Spot(self.registry, repository, self.image)
        shutil.copytree(self.folder, twin.folder)
        return twin


Damage = Callable[[Spot], None]


def unchanged(_: Spot) -> None:
    """Do nothing."""


def lose_child(spot: Spot) -> None:
    """Take the victim's manifest out of the repository."""
    _unlink_manifest(spot, spot.child)


def lose_inner_index(spot: Spot) -> None:
    """Take a nested index out of the repository."""
    _unlink_manifest(spot, _inner_index(spot))


def corrupt_inner_index(spot: Spot) -> None:
    """Change a byte of a nested index within a name."""
    _change_name(spot.content(_inner_index(spot)))


def _inner_index(spot: Spot) -> str:
    return next(e.digest for e in spot.image.entries if e.media_type in INDEX_TYPES)


def _unlink_manifest(spot: Spot, digest: str) -> None:
    name = digest.removeprefix("sha256:")
    (spot.folder / "_manifests/revisions/sha256" / name / "link").unlink()


def lose_blob(spot: Spot) -> None:
    """Take the victim's layer out of the repository."""
    (spot.folder / "_layers/sha256" / spot.layer.removeprefix("sha256:") / "link").unlink()


def lose_tag(spot: Spot) -> None:
    """Take the tag out of the repository."""
    shutil.rmtree(spot.folder / "_manifests/tags" / TAG)


def lose_content(spot: Spot) -> None:
    """Remove the bytes of the victim's layer from the storage."""
    spot.content(spot.layer).unlink()


def corrupt_content(spot: Spot) -> None:
    """Change one byte of the victim's layer."""
    _corrupt(spot.content(spot.layer), 100)


def corrupt_manifest(spot: Spot) -> None:
    """Change a byte of the victim's manifest within a name: it is still a manifest."""
    _change_name(spot.content(spot.child))


def garble_manifest(spot: Spot) -> None:
    """Change the last byte of the victim's manifest, a bracket."""
    _corrupt(spot.content(spot.child), -1)


def _change_name(path: Path) -> None:
    _corrupt(path, path.read_bytes().index(b"sha256:") + len(b"sha256:"))


def _corrupt(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    # A digit stays a hexadecimal digit.
    content[at] = ord("a") if content[at] != ord("a") else ord("b")
    path.write_bytes(content)


def replace_by_single(spot: Spot) -> None:
    """Let the tag lead to a single image."""
    push(spot.registry, spot.repository, TAG, images.docker_schema2(77))


def change_platform(spot: Spot) -> None:
    """Let the index call its first image by another architecture."""
    restate(spot, "architecture", STRANGE["architecture"])


def restate(spot: Spot, name: str, value: str, number: int = 0) -> None:
    """Let the index state ``value`` in one field of the platform of its ``number``th image."""

    def change(index: dict[str, Any]) -> None:
        index["manifests"][number]["platform"][name] = value

    _rewrite(spot, change)


def add_platform(spot: Spot) -> None:
    """Let the index list one more platform, whose image is there."""
    _add(spot, STRANGE)


def add_other_system(spot: Spot) -> None:
    """Let the index list an image, which is there, of a system that nobody chooses."""
    _add(spot, {**STRANGE, "os": "freebsd"})


def _add(spot: Spot, platform: dict[str, str]) -> None:
    def add(index: dict[str, Any]) -> None:
        docker = index["mediaType"] == DOCKER_LIST
        extra = images.docker_schema2(78) if docker else images.oci_manifest(78)
        with Client(spot.registry) as client:
            for blob in extra.blobs:
                push_blob(client, spot.repository, blob.data)
            push_manifest(client, spot.repository, extra.top.digest, extra.top)
        index["manifests"].append({**extra.entries[0].descriptor(), "platform": platform})

    _rewrite(spot, add)


def _rewrite(spot: Spot, change: Callable[[dict[str, Any]], None]) -> None:
    with Client(spot.registry) as client:
        found = fetch_manifest(client, spot.repository, TAG)
        assert found is not None
        index = json.loads(found[0])
        change(index)
        push_manifest(client, spot.repository, TAG, Manifest.of(compact(index), found[1]))
