"""The builder behind every kind of image: layers, children, attestations, indexes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from tests.helpers.content import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_PLAIN_LAYER,
    IN_TOTO,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    OCI_PLAIN_LAYER,
    Blob,
    Entry,
    Image,
    Manifest,
    Platform,
    compact,
    digest_of,
    gzip_of,
    tar_of,
)

CREATED = "2024-01-01T00:00:00Z"
DEFAULT_LAYER_SIZES = (4000, 2500)
REFERENCE_TYPE = "vnd.docker.reference.type"
REFERENCE_DIGEST = "vnd.docker.reference.digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatTypes:
    """The media types of one family."""

    manifest: str
    index: str
    config: str
    layer: str
    plain_layer: str


class Format(Enum):
    """The two families of media types."""

    DOCKER = FormatTypes(
        manifest=DOCKER_MANIFEST,
        index=DOCKER_LIST,
        config=DOCKER_CONFIG,
        layer=DOCKER_LAYER,
        plain_layer=DOCKER_PLAIN_LAYER,
    )
    OCI = FormatTypes(
        manifest=OCI_MANIFEST,
        index=OCI_INDEX,
        config=OCI_CONFIG,
        layer=OCI_LAYER,
        plain_layer=OCI_PLAIN_LAYER,
    )


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer blob, the type it is listed with, and the digest of its plain tar."""

    blob: Blob
    media_type: str
    diff_id: str


def platform(text: str, **more: object) -> dict[str, object]:
    """Give the platform object of ``os/architecture[/variant]``, ``os_version=`` as extra field."""
    parts = text.split("/")
    found: dict[str, object] = {"architecture": parts[1], "os": parts[0]}
    for name, value in more.items():
        found[name.replace("_", ".")] = value
    if len(parts) > 2:
        found["variant"] = parts[2]
    return found


class Studio:
    """Collects the blobs and manifests of one image while it is built."""

    def __init__(self, kind: str, seed: int, form: Format = Format.OCI) -> None:
        """Start an image of this kind; the same kind and seed give the same bytes."""
        self.kind = kind
        self.seed = seed
        self.form = form
        self.layer_sizes: Sequence[int] = DEFAULT_LAYER_SIZES
        self._blobs: dict[str, Blob] = {}
        self._manifests: dict[str, Manifest] = {}
        self._nested: dict[str, tuple[Entry, ...]] = {}

    @property
    def types(self) -> FormatTypes:
        """Give the media types of this image's family."""
        return self.form.value

    def blob(self, data: bytes) -> Blob:
        """Keep bytes as a blob of the image."""
        blob = Blob.of(data)
        return self._blobs.setdefault(blob.digest, blob)

    def manifest(self, value: Mapping[str, object], media_type: str) -> Manifest:
        """Keep a JSON value as a manifest of the image."""
        manifest = Manifest.of(compact(value), media_type)
        return self._manifests.setdefault(manifest.digest, manifest)

    def layer(self, name: str, size: int, *, compressed: bool = True) -> Layer:
        """Give a tar layer; the same name and size are the same blob in every image."""
        plain = tar_of(name, size)
        blob = self.blob(gzip_of(plain) if compressed else plain)
        media_type = self.types.layer if compressed else self.types.plain_layer
        return Layer(blob, media_type, digest_of(plain))

    def keep(self, layer: Layer) -> Layer:
        """Keep a layer made elsewhere as one of this image; give it with this family's type."""
        self._blobs.setdefault(layer.blob.digest, layer.blob)
        return replace(layer, media_type=self.types.layer)

    def own_layers(self, owner: str) -> list[Layer]:
        """Give the layers that belong to one child alone."""
        name = f"{self.kind}-{self.seed}-{owner}"
        return [self.layer(f"{name}-{at}", size) for at, size in enumerate(self.layer_sizes)]

    def config(self, where: Platform, layers: Sequence[Layer]) -> Blob:
        """Give the config blob that names the platform and the layers."""
        value = {
            **where,
            "created": CREATED,
            "config": {"Cmd": ["/bin/true"], "Labels": {"lab": f"{self.kind}-{self.seed}"}},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [{"created": CREATED, "created_by": "lab"} for _ in layers],
        }
        return self.blob(compact(value))

    def image_manifest(
        self, config: Blob, layers: Sequence[Layer], config_type: str | None = None, **more: object
    ) -> Manifest:
        """Give the manifest over a config and layers, ``more`` as further top-level fields."""
        value: dict[str, object] = {
            "schemaVersion": 2,
            "mediaType": self.types.manifest,
            "config": descriptor(config_type or self.types.config, config),
            "layers": [descriptor(layer.media_type, layer.blob) for layer in layers],
        }
        return self.manifest({**value, **more}, self.types.manifest)

    def child(self, where: Platform, layers: Sequence[Layer] | None = None) -> Entry:
        """Give the entry of a new image manifest for a platform."""
        owner = "-".join(str(part) for part in where.values())
        used = self.own_layers(owner) if layers is None else layers
        manifest = self.image_manifest(self.config(where, used), used)
        return self.entry(manifest, where, config_platform=where)

    def attestation(self, subject: str) -> Entry:
        """Give a BuildKit style attestation entry about the manifest of digest ``subject``."""
        statement = self.blob(compact({"_type": "https://in-toto.io/Statement/v0.1", "s": subject}))
        layer = Layer(statement, IN_TOTO, statement.digest)
        nowhere = platform("unknown/unknown")
        manifest = self.image_manifest(self.config(nowhere, [layer]), [layer])
        return Entry(
            digest=manifest.digest,
            media_type=manifest.media_type,
            size=len(manifest.data),
            platform=nowhere,
            config_platform=nowhere,
            annotations={REFERENCE_DIGEST: subject, REFERENCE_TYPE: "attestation-manifest"},
            subject=subject,
        )

    def entry(
        self,
        manifest: Manifest,
        where: Platform | None,
        *,
        config_platform: Platform | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Entry:
        """Give the entry that lists a manifest under a platform (None: without the field)."""
        return Entry(
            digest=manifest.digest,
            media_type=manifest.media_type,
            size=len(manifest.data),
            platform=where,
            config_platform=config_platform,
            annotations=annotations or {},
        )

    def nested(self, entries: Sequence[Entry]) -> Entry:
        """Give the entry of an index inside the index."""
        manifest = self.manifest(index_value(entries, self.types.index), self.types.index)
        self._nested[manifest.digest] = tuple(entries)
        return self.entry(manifest, None)

    def index(self, entries: Sequence[Entry], **more: object) -> Image:
        """Give the image whose top is an index; ``more`` as further top-level fields."""
        return self.raw_index({**index_value(entries, self.types.index), **more}, entries)

    def raw_index(
        self, value: Mapping[str, object], entries: Sequence[Entry], indent: int | None = None
    ) -> Image:
        """Give the image whose top index is exactly this JSON value, indented on request."""
        data = compact(value) if indent is None else json.dumps(value, indent=indent).encode()
        return self.finish(Manifest.of(data, self.types.index), entries)

    def single(self, entry: Entry) -> Image:
        """Give the image whose top is the one manifest of ``entry``, without an index."""
        return self.finish(self._manifests[entry.digest], [entry])

    def finish(self, top: Manifest, entries: Sequence[Entry]) -> Image:
        """Give the whole image, ``top`` last in the order of manifests."""
        leaves = [leaf for entry in entries for leaf in self._nested.get(entry.digest, (entry,))]
        others = tuple(made for made in self._manifests.values() if made.digest != top.digest)
        return Image(
            kind=self.kind,
            seed=self.seed,
            top=top,
            manifests=(*others, top),
            blobs=tuple(self._blobs.values()),
            entries=tuple(entries),
            leaves=tuple(leaves),
        )


def descriptor(media_type: str, blob: Blob) -> dict[str, object]:
    """Give the JSON object that names a blob in a manifest."""
    return {"mediaType": media_type, "size": len(blob.data), "digest": blob.digest}


def index_value(entries: Sequence[Entry], media_type: str) -> dict[str, object]:
    """Give the JSON value of an index over entries."""
    return {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [entry.descriptor() for entry in entries],
    }
