"""Read the output of `docker save` (manifest.json, Docker image specification v1.2) as OCI images.

The manifests are assembled here and not by `skopeo copy docker-archive: oci:`, so nothing is
compressed again, one file always gives the same digests, and reading an archive needs no tool.
Copying to a registry is skopeo's work, as for any other image. The list of diff ids in the config
binds layers to an image; each is compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from image_tools.errors import InvalidReference
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import MAXIMUM_ENTRIES, MAXIMUM_MANIFEST_SIZE
from image_tools.oci.reference import Reference
from image_tools.stores.archive.catalogue import Catalogue
from image_tools.stores.archive.content import Form, damaged
from image_tools.stores.archive.file.framing import form_of
from image_tools.stores.archive.file.reading import RangeSource, unpacked
from image_tools.stores.archive.others.blobs import Blobs
from image_tools.stores.archive.others.tar import path_inside

MANIFEST = "manifest.json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_ENDINGS = {Form.GZIP: "+gzip", Form.ZSTD: "+zstd"}
_MOST_UNPACKED = 1 << 38
_HEX_DIGITS = 64
_NONE = "<none>"  # docker's name for an image without a tag


def docker_catalogue(blobs: Blobs, top: str) -> Catalogue:
    """Return the images in the manifest.json under `top`, after storing their manifests.

    Raise ArchiveDamaged when an image is not what manifest.json or its config says.
    """
    catalogue = Catalogue()
    for stated in _listed(blobs, blobs.document(f"{top}{MANIFEST}"), MANIFEST):
        entry = _image(blobs, top, stated)
        references = [*_references(blobs, stated)]
        for reference in references:
            if reference.tag is None:
                catalogue = catalogue.with_stated(entry, reference)
                continue
            known = catalogue.tags.get(reference)
            if known is not None and known.descriptor.digest != entry.digest:
                raise damaged(blobs.name, f"{MANIFEST} has two images {reference}")
            catalogue = catalogue.tagged(reference, entry)
        if not references:
            catalogue = catalogue.with_nameless(entry)
    return catalogue


def _listed(blobs: Blobs, value: object, what: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAXIMUM_ENTRIES:
        raise damaged(blobs.name, f"{what} is no list of what it should be, or too long")
    return value


def _references(blobs: Blobs, stated: dict[str, Any]) -> Iterator[Reference]:
    for text in _listed(blobs, stated.get("RepoTags"), "RepoTags"):
        if _NONE in str(text):
            continue
        try:
            found = Reference.parse(str(text))
        except InvalidReference as error:
            raise damaged(blobs.name, f"RepoTags: {error}") from error
        yield found.with_tag(found.tag) if found.tag else found


def _image(blobs: Blobs, top: str, stated: object) -> Descriptor:
    """Store the manifest of one image, made of its config and its layers."""
    if not isinstance(stated, dict):
        raise damaged(blobs.name, f"{MANIFEST} lists what is no image")
    path = _path(blobs, top, stated.get("Config"))
    config = blobs.digest(path)
    said = PurePosixPath(path).name.removesuffix(".json")
    if len(said) == _HEX_DIGITS and said != config.hex:
        raise damaged(blobs.name, f"{path} has the digest {config}")
    paths = [_path(blobs, top, name) for name in _listed(blobs, stated.get("Layers"), "Layers")]
    diff_ids = _diff_ids(blobs, path)
    if len(paths) != len(diff_ids):
        raise damaged(blobs.name, f"{path} has {len(diff_ids)} layers, {MANIFEST} {len(paths)}")
    layers = [_layer(blobs, layer, diff) for layer, diff in zip(paths, diff_ids, strict=True)]
    document = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": _descriptor(blobs, media.OCI_CONFIG, config),
        "layers": layers,
    }
    content = json.dumps(document, separators=(",", ":")).encode()
    if len(content) > MAXIMUM_MANIFEST_SIZE:
        raise damaged(blobs.name, f"{path} has too many layers")
    digest = blobs.keep(content)
    return Descriptor(media_type=media.OCI_MANIFEST, digest=digest, size=len(content))


def _path(blobs: Blobs, top: str, name: object) -> str:
    if not isinstance(name, str):
        raise damaged(blobs.name, f"{MANIFEST} lacks the name of a file")
    return path_inside(blobs.name, f"{top}{name}")


def _diff_ids(blobs: Blobs, path: str) -> list[Digest]:
    config = blobs.document(path)
    rootfs = config.get("rootfs") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(rootfs, dict):
        raise damaged(blobs.name, f"{path} is no config of an image")
    try:
        return [Digest.parse(str(text)) for text in _listed(blobs, rootfs.get("diff_ids"), path)]
    except InvalidReference as error:
        raise damaged(blobs.name, f"{path}: {error}") from error


def _descriptor(blobs: Blobs, media_type: str, digest: Digest) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(digest), "size": blobs.size(digest)}


def _layer(blobs: Blobs, path: str, diff_id: Digest) -> dict[str, object]:
    """Return the descriptor of a layer whose tar has the digest `diff_id`."""
    digest = blobs.digest(path)
    if digest == diff_id:
        return _descriptor(blobs, _LAYER, digest)
    with blobs.open(digest) as file:
        form = form_of(file.read(512))
    ending = _ENDINGS.get(form) if form else None
    if form is None or ending is None or _unpacked_digest(blobs, digest, form, diff_id) != diff_id:
        raise damaged(blobs.name, f"layer {path} is not the one its config names, {diff_id}")
    return _descriptor(blobs, _LAYER + ending, digest)


class _Layer:
    """A compressed layer as a `RangeSource`."""

    def __init__(self, blobs: Blobs, digest: Digest) -> None:
        self.name, self._file = blobs.name, blobs.open(digest)

    def read_at(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(length)

    def close(self) -> None:
        self._file.close()


def _unpacked_digest(blobs: Blobs, digest: Digest, form: Form, like: Digest) -> Digest:
    hasher, count, layer = like.hasher(), 0, _Layer(blobs, digest)
    source: RangeSource = layer
    try:
        for data in unpacked(form, source, 0, blobs.size(digest)):
            count += len(data)
            if count > _MOST_UNPACKED:
                raise damaged(blobs.name, f"a layer has more than {_MOST_UNPACKED >> 30} GiB")
            hasher.update(data)
    finally:
        layer.close()
    return Digest(like.algorithm, hasher.hexdigest())
