"""Manifests and indexes, parsed from raw bytes (OCI image spec; Docker v2 schema 1 and 2)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from image_tools.errors import InvalidManifest, InvalidReference
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor, pairs, refuse_look_alikes
from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform

MAXIMUM_MANIFEST_SIZE = 4 * 1024 * 1024
MAXIMUM_ENTRIES = 10_000
_FIELDS = frozenset(
    {"schemaVersion", "mediaType", "artifactType", "manifests", "config", "layers", "subject"}
    | {"annotations", "fsLayers", "history", "signatures", "name", "tag", "architecture"}
    | {"blobs"}
)


@dataclass(frozen=True, slots=True)
class RawManifest:
    """A manifest or index exactly as a registry holds it."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> Digest:
        """Return the sha256 digest of the bytes."""
        return Digest.of(self.content)

    @property
    def descriptor(self) -> Descriptor:
        """Return a descriptor of these bytes, without a platform."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=len(self.content))


@dataclass(frozen=True, slots=True)
class Manifest:
    """The config and the layers, in order, of one image or artifact.

    An artifact manifest (`media.OCI_ARTIFACT`) has no config. `stated_type` is the `mediaType` in
    the bytes, which may differ from the type they were served with.
    """

    media_type: str
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    stated_type: str = field(default="", compare=False)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Return the config and the layers that the registry must have, each digest once."""
        held = [layer for layer in self.layers if not layer.fields.get("urls")]
        if self.config is not None:
            held.insert(0, self.config)
        return _each_once(held)

    @property
    def foreign(self) -> tuple[Descriptor, ...]:
        """Return the layers with `urls`, each digest once, without those that are in `blobs`.

        The registry may have them; otherwise they are only at one of these addresses.
        """
        needed = {blob.digest for blob in self.blobs}
        layers = (layer for layer in self.layers if layer.fields.get("urls"))
        return _each_once(layer for layer in layers if layer.digest not in needed)

    @property
    def is_image(self) -> bool:
        """Return whether the config is an image config, which states a platform."""
        return self.config is not None and self.config.media_type in media.IMAGE_CONFIGS


@dataclass(frozen=True, slots=True)
class Index:
    """The entries, in order, of an OCI index or Docker manifest list."""

    media_type: str
    entries: tuple[Descriptor, ...]
    annotations: tuple[tuple[str, str], ...] = ()
    has_rare_fields: bool = False


@dataclass(frozen=True, slots=True)
class Schema1:
    """The platform and the layers, lowest first, of a Docker schema 1 manifest."""

    platform: Platform
    layers: tuple[Digest, ...]


def parse(raw: RawManifest) -> Manifest | Index | Schema1:
    """Return the content of `raw`; its bytes decide if the media type is missing or wrong.

    Raise InvalidManifest if it is not a JSON object of a known shape, is larger than 4 MiB (the
    limit of the distribution spec), has more than 10,000 entries, or is ambiguous.
    """
    if len(raw.content) > MAXIMUM_MANIFEST_SIZE:
        raise InvalidManifest(f"the manifest has {len(raw.content)} bytes, more than 4 MiB")
    document = _object(raw.content, object_pairs_hook=_one_meaning)
    refuse_look_alikes(document, _FIELDS)
    is_artifact = media.OCI_ARTIFACT in (document.get("mediaType"), raw.media_type)
    _refuse_two_meanings(document, is_artifact=is_artifact)
    if document.get("schemaVersion") == 1:
        return _schema1(document)
    if _states(document, "config"):
        return _manifest(raw.media_type, document)
    if is_artifact:
        return _artifact(document)
    if "manifests" in document:
        return _index(raw.media_type, document)
    raise InvalidManifest(f"unsupported manifest of type {raw.media_type or 'unknown'}")


def config_platform(content: bytes) -> Platform:
    """Return the platform in an image config; empty if it states none or is not a JSON object."""
    try:
        return Platform.from_json(_object(content))
    except InvalidManifest:
        return Platform()


def index_bytes(index: Index) -> bytes:
    """Return the bytes of `index` in the layout of buildx. Of its rare fields, only annotations.

    Raise InvalidManifest if unknown fields of an entry are nested too deep to be written.
    """
    document = {
        "schemaVersion": 2,
        "mediaType": index.media_type,
        "manifests": [entry.to_json() for entry in index.entries],
        **({"annotations": dict(index.annotations)} if index.annotations else {}),
    }
    try:
        text = json.dumps(document, indent=2, ensure_ascii=False)
    except RecursionError as error:
        raise InvalidManifest("an entry of the index is nested too deep") from error
    return text.encode(errors="replace")


def _each_once(blobs: Iterable[Descriptor]) -> tuple[Descriptor, ...]:
    return tuple({blob.digest: blob for blob in blobs}.values())


def _object(content: bytes, **hooks: Any) -> dict[str, Any]:
    try:
        # json.loads would accept UTF-16 as well, which no other reader does.
        text = content.decode("utf-8-sig", "surrogatepass")
        document = json.loads(text, parse_constant=_refuse, parse_float=_finite, **hooks)
    except (ValueError, RecursionError) as error:
        raise InvalidManifest(f"the manifest is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidManifest("the manifest is not a JSON object")
    return document


def _states(document: dict[str, Any], *names: str) -> bool:
    return any(document.get(name) is not None for name in names)


def _refuse_two_meanings(document: dict[str, Any], *, is_artifact: bool) -> None:
    """Raise InvalidManifest if two readers could disagree (CVE-2021-41190), as skopeo does."""
    is_image = _states(document, "config", "layers")
    if is_image and _states(document, "manifests"):
        raise InvalidManifest("the manifest is an image and an index at once")
    is_newer = is_image or _states(document, "manifests")
    if is_newer and (is_artifact or _states(document, "fsLayers", "history")):
        raise InvalidManifest("the manifest is of two kinds at once")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")  # JSON has no NaN; Python accepts it


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of all bounds")
    return number


def _one_meaning(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        # Readers disagree about which one counts; Go merges both.
        raise ValueError("a field is there twice")
    return found


def _manifest(media_type: str, document: dict[str, Any]) -> Manifest:
    config = Descriptor.from_json(document["config"])
    layers = _listed(document, "layers")
    stated = _stated_type(document, media.MANIFESTS) or media_type
    if stated not in media.MANIFESTS:
        stated = (
            media.DOCKER_MANIFEST
            if config.media_type == media.DOCKER_CONFIG
            else media.OCI_MANIFEST
        )
    own = document.get("mediaType")
    return Manifest(
        stated,
        config,
        tuple(Descriptor.from_json(layer) for layer in layers),
        own if isinstance(own, str) else "",
    )


def _artifact(document: dict[str, Any]) -> Manifest:
    blobs = tuple(Descriptor.from_json(blob) for blob in _listed(document, "blobs"))
    return Manifest(media.OCI_ARTIFACT, None, blobs, media.OCI_ARTIFACT)


def _index(media_type: str, document: dict[str, Any]) -> Index:
    entries = _listed(document, "manifests")
    stated = _stated_type(document, media.INDEXES) or media_type
    rare = document.keys() - {"schemaVersion", "mediaType", "manifests"}
    return Index(
        stated if stated in media.INDEXES else media.OCI_INDEX,
        tuple(Descriptor.from_json(entry) for entry in entries),
        annotations=pairs(document.get("annotations")),
        has_rare_fields=any(document[name] for name in rare),
    )


def _listed(document: dict[str, Any], name: str) -> list[Any]:
    listed = document.get(name)
    if listed is None:  # Go programs write an empty list as null
        return []
    if not isinstance(listed, list):
        raise InvalidManifest(f"the {name} of the manifest are no list")
    if len(listed) > MAXIMUM_ENTRIES:
        raise InvalidManifest(f"the manifest has {len(listed)} {name}")
    return listed


def _stated_type(document: dict[str, Any], allowed: frozenset[str]) -> str:
    stated = document.get("mediaType")
    return stated if isinstance(stated, str) and stated in allowed else ""


def _schema1(document: dict[str, Any]) -> Schema1:
    layers = document.get("fsLayers")
    if not isinstance(layers, list) or not layers:
        raise InvalidManifest("the schema 1 manifest has no layers")
    sums = [layer.get("blobSum") if isinstance(layer, dict) else None for layer in layers]
    stated = replace(Platform.from_json(document), os=_schema1_os(document))
    return Schema1(stated, tuple(_blob_sum(blob_sum) for blob_sum in reversed(sums)))


def _blob_sum(text: object) -> Digest:
    try:
        return Digest.parse(str(text))
    except InvalidReference as error:
        raise InvalidManifest(f"a layer of the schema 1 manifest has no digest: {error}") from error


def _schema1_os(document: dict[str, Any]) -> str:
    history = document.get("history")
    if isinstance(history, list) and history and isinstance(history[0], dict):
        compatibility = str(history[0].get("v1Compatibility", ""))
        stated = config_platform(compatibility.encode(errors="surrogatepass"))
        return stated.os or "linux"
    return "linux"
