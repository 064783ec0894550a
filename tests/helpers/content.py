"""Values of image content: blobs, manifests, the entries of an index, a whole image."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field

DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_PLAIN_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_PLAIN_LAYER = "application/vnd.oci.image.layer.v1.tar"
IN_TOTO = "application/vnd.in-toto+json"

INDEX_TYPES = frozenset({DOCKER_LIST, OCI_INDEX})
SCHEMA1_TYPES = frozenset({DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED})
ALL_MANIFEST_TYPES = (
    OCI_INDEX,
    DOCKER_LIST,
    OCI_MANIFEST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1_SIGNED,
    DOCKER_SCHEMA1,
)

Platform = Mapping[str, object]


def digest_of(data: bytes) -> str:
    """Give the sha256 digest of bytes as ``sha256:<hex>``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def compact(value: object) -> bytes:
    """Give the shortest JSON of a value, keys in the order written."""
    return json.dumps(value, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes stored under their digest."""

    data: bytes = field(repr=False)
    digest: str

    @classmethod
    def of(cls, data: bytes) -> Blob:
        """Give the blob of these bytes."""
        return cls(data, digest_of(data))


@dataclass(frozen=True, slots=True)
class Manifest:
    """Raw manifest or index bytes, with the type they are pushed as.

    The digest of a signed schema 1 manifest is that of its payload without signatures.
    """

    data: bytes = field(repr=False)
    media_type: str
    digest: str

    @classmethod
    def of(cls, data: bytes, media_type: str) -> Manifest:
        """Give the manifest whose digest is the digest of all its bytes."""
        return cls(data, media_type, digest_of(data))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of an index, or the single manifest of an image without index.

    ``platform`` is what the index says (None: no such field), ``config_platform`` what the
    image's config says; ``subject`` is the digest an attestation speaks about.
    """

    digest: str
    media_type: str
    size: int
    platform: Platform | None
    config_platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    subject: str | None = None

    @property
    def true_platform(self) -> Platform | None:
        """Give the platform of the index, else that of the config."""
        return self.platform if self.platform is not None else self.config_platform

    def descriptor(self) -> dict[str, object]:
        """Give the JSON object that stands for this entry in an index."""
        found: dict[str, object] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.annotations:
            found["annotations"] = dict(self.annotations)
        if self.platform is not None:
            found["platform"] = dict(self.platform)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """Everything a tag leads to.

    ``manifests`` are in push order (children first, ``top`` last) without repetition;
    ``entries`` are the lines of the top index as listed; ``leaves`` the same with nested
    indexes replaced by their own entries.
    """

    kind: str
    seed: int
    top: Manifest
    manifests: tuple[Manifest, ...]
    blobs: tuple[Blob, ...]
    entries: tuple[Entry, ...]
    leaves: tuple[Entry, ...]

    @property
    def is_index(self) -> bool:
        """Tell whether the top is an index or manifest list."""
        return self.top.media_type in INDEX_TYPES

    @property
    def size(self) -> int:
        """Give the bytes of all distinct blobs."""
        return sum(len(blob.data) for blob in self.blobs)

    def find(self, digest: str) -> Manifest:
        """Give the manifest of a digest; KeyError when the image has none such."""
        return {manifest.digest: manifest for manifest in self.manifests}[digest]


def tar_of(name: str, size: int) -> bytes:
    """Give a real tar with two files, the larger one of ``size`` bytes decided by ``name``."""
    content = random.Random(name).randbytes(size)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in ((f"opt/{name}/data.bin", content), ("etc/lab", name.encode())):
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def gzip_of(data: bytes) -> bytes:
    """Give gzip bytes without a time stamp."""
    return gzip.compress(data, compresslevel=1, mtime=0)
