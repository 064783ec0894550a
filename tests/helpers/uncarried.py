"""Images that skopeo, docker buildx or both cannot carry, though registries hold them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tests.helpers.content import OCI_ARTIFACT, OCI_INDEX, OCI_LAYER, Entry, Image, Platform
from tests.helpers.images import AMD64, ARM64
from tests.helpers.studio import Format, Studio, descriptor, index_value

DOCKER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd"
OWN_MANIFEST = "application/vnd.example.manifest.v1+json"
OWN_LAYER = "application/vnd.example.layer"
NUMBER = {"annotations": {"size": 1}}

Change = Callable[[dict[str, Any]], None]


def zstd_layers(seed: int = 1) -> Image:
    """Give a Docker list: amd64 with a zstd layer, as `rapidsai/base` has, and a plain arm64."""
    return with_plain(Studio("zstd", seed, Format.DOCKER), partial(_child, layers=DOCKER_ZSTD))


def odd_docker_layers(seed: int = 1) -> Image:
    """Give a Docker list whose amd64 has layers of types that are no Docker's."""
    return with_plain(Studio("odd", seed, Format.DOCKER), partial(_child, layers=OCI_LAYER))


def docker_without_type(seed: int = 1) -> Image:
    """Give a Docker list whose amd64 manifest does not say what it is."""
    child = partial(_child, change=lambda value: value.pop("mediaType"))
    return with_plain(Studio("untyped", seed, Format.DOCKER), child)


def own_manifest_type(seed: int = 1) -> Image:
    """Give an index whose amd64 is of a type that only its makers know."""
    return with_plain(Studio("own", seed), partial(_child, served=OWN_MANIFEST))


def odd_annotations(seed: int = 1) -> Image:
    """Give an index whose amd64 has a number for an annotation, which Go programs cannot read."""
    child = partial(_child, change=lambda value: value.update(NUMBER))
    return with_plain(Studio("annotated", seed), child)


def artifact_entry(seed: int = 1) -> Image:
    """Give an index with an artifact manifest of the OCI 1.1 draft beside two platforms."""
    studio = Studio("artifact-entry", seed)
    entries = [studio.child(AMD64), studio.child(ARM64)]
    return studio.index([*entries, artifact_of(studio)])


def untyped_entry(seed: int = 1) -> Image:
    """Give an index that does not say the type of one entry."""
    studio = Studio("untyped-entry", seed)
    entries = [studio.child(AMD64), studio.child(ARM64)]
    value: dict[str, Any] = dict(index_value(entries, OCI_INDEX))
    value["manifests"][1]["mediaType"] = ""
    return studio.raw_index(value, entries)


def unknown_types(seed: int = 1) -> Image:
    """Give an OCI index whose amd64 has a config and layers of unknown types: skopeo copies it."""
    child = partial(_child, layers=OWN_LAYER, config="application/vnd.example.config")
    return with_plain(Studio("unknown", seed), child)


def docker_chart(seed: int = 1) -> Image:
    """Give a Docker list whose amd64 has the config of a chart: skopeo copies it."""
    child = partial(_child, config="application/vnd.cncf.helm.config.v1+json")
    return with_plain(Studio("chart", seed, Format.DOCKER), child)


def artifact(seed: int = 1) -> Image:
    """Give an artifact manifest of the OCI 1.1 draft alone."""
    studio = Studio("artifact", seed)
    return studio.single(artifact_of(studio))


def entries_with_urls(address: str, seed: int = 1) -> Image:
    """Give an index whose entries are said to lie at `address`, too, and which skopeo 1.9 changes.

    It does because of the artifact type.
    """
    studio = Studio("urls", seed)
    entries = [studio.child(AMD64), studio.child(ARM64)]
    value: dict[str, Any] = dict(index_value(entries, OCI_INDEX))
    for listed in value["manifests"]:
        listed["urls"] = [f"http://{address}/v2/base/manifests/{listed['digest']}"]
        listed["artifactType"] = "application/vnd.example"
    return studio.raw_index(value, entries)


def artifact_of(studio: Studio, subject: Mapping[str, object] | None = None) -> Entry:
    """Give the entry of an artifact manifest with one blob, about `subject`."""
    blob = studio.blob(f"artifact {studio.seed}".encode())
    value: dict[str, object] = {
        "mediaType": OCI_ARTIFACT,
        "artifactType": "application/vnd.example.note",
        "blobs": [descriptor("text/plain", blob)],
        **({"subject": subject} if subject is not None else {}),
    }
    return studio.entry(studio.manifest(value, OCI_ARTIFACT), None)


def with_plain(studio: Studio, odd: Callable[[Studio, Platform], Entry]) -> Image:
    """Give an index of an odd amd64 and an ordinary arm64."""
    return studio.index([odd(studio, AMD64), studio.child(ARM64)])


def _child(
    studio: Studio,
    where: Platform,
    *,
    layers: str | None = None,
    config: str | None = None,
    served: str | None = None,
    change: Change = lambda value: None,
) -> Entry:
    own = studio.own_layers(str(where["architecture"]))
    if layers is not None:
        own = [dataclasses.replace(layer, media_type=layers) for layer in own]
    value: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": studio.types.manifest,
        "config": descriptor(config or studio.types.config, studio.config(where, own)),
        "layers": [descriptor(layer.media_type, layer.blob) for layer in own],
    }
    change(value)
    manifest = studio.manifest(value, served or studio.types.manifest)
    return studio.entry(manifest, where, config_platform=where)
