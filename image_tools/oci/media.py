"""Media types of manifests and indexes (OCI image spec media-types.md; Docker distribution v2)."""

from __future__ import annotations

DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
# From a draft of OCI 1.1, without a config. Some registries still hold such artifacts.
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"

DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_ZSTD_LAYER = "application/vnd.docker.image.rootfs.diff.tar.zstd"

SCHEMA1 = frozenset({DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED})
INDEXES = frozenset({DOCKER_LIST, OCI_INDEX})
MANIFESTS = frozenset({DOCKER_MANIFEST, OCI_MANIFEST})
DOCKER_TYPES = frozenset({DOCKER_MANIFEST, DOCKER_LIST}) | SCHEMA1
IMAGE_CONFIGS = frozenset({DOCKER_CONFIG, OCI_CONFIG})

ACCEPTED = (
    OCI_INDEX,
    DOCKER_LIST,
    OCI_MANIFEST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1_SIGNED,
    DOCKER_SCHEMA1,
    OCI_ARTIFACT,
)


def index_type_for(children: frozenset[str]) -> str:
    """Return the type of an index of `children` types: Docker's list for Docker types only.

    `docker buildx imagetools create` has the same rule since 0.11.
    """
    return DOCKER_LIST if children and children <= DOCKER_TYPES else OCI_INDEX
