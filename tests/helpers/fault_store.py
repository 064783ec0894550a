"""The memory of the registry double: blobs, manifests and tags by repository."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.helpers.content import (
    INDEX_TYPES,
    OCI_ARTIFACT,
    SCHEMA1_TYPES,
    Image,
    Manifest,
    digest_of,
)
from tests.helpers.schema1 import manifest_digest


class RegistryContent:
    """Content by repository; ``blobs[repository][digest]``, ``manifests`` and ``tags`` alike."""

    def __init__(self) -> None:
        """Start empty."""
        self.blobs: dict[str, dict[str, bytes]] = defaultdict(dict)
        self.manifests: dict[str, dict[str, Manifest]] = defaultdict(dict)
        self.tags: dict[str, dict[str, str]] = defaultdict(dict)
        self.uploads: dict[str, bytes] = {}
        self.partial_indexes = False
        self.partial_images = False
        self.lock = threading.RLock()

    def load(self, repository: str, tag: str, image: Image) -> None:
        """Fill a whole image in, without any request."""
        with self.lock:
            self.blobs[repository].update({blob.digest: blob.data for blob in image.blobs})
            self.manifests[repository].update({made.digest: made for made in image.manifests})
            self.tags[repository][tag] = image.top.digest

    def has_repository(self, repository: str) -> bool:
        """Tell whether anything lies in the repository."""
        return bool(self.blobs.get(repository) or self.manifests.get(repository))

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """Give a manifest by tag or digest."""
        digest = self.tags.get(repository, {}).get(reference, reference)
        return self.manifests.get(repository, {}).get(digest)

    def blob(self, repository: str, digest: str) -> bytes | None:
        """Give a blob of the repository."""
        return self.blobs.get(repository, {}).get(digest)

    def put_manifest(
        self, repository: str, reference: str, data: bytes, media_type: str
    ) -> tuple[str | None, str]:
        """Store a manifest; give an error code (None: stored) and its digest."""
        digest = manifest_digest(data, media_type)
        if ":" in reference and reference != digest:
            return "DIGEST_INVALID", digest
        if self._missing(repository, json.loads(data), media_type):
            return "MANIFEST_BLOB_UNKNOWN", digest
        with self.lock:
            self.manifests[repository][digest] = Manifest(data, media_type, digest)
            if ":" not in reference:
                self.tags[repository][reference] = digest
        return None, digest

    def delete(self, repository: str, reference: str) -> bool:
        """Delete a tag, or a manifest with its tags; False when there was no such thing."""
        with self.lock:
            tags = self.tags[repository]
            if ":" not in reference:
                return tags.pop(reference, None) is not None
            gone = self.manifests[repository].pop(reference, None)
            self.tags[repository] = {tag: d for tag, d in tags.items() if d != reference}
        return gone is not None

    def put_blob(self, repository: str, digest: str, data: bytes) -> bool:
        """Store a blob; False when the digest is not that of the data."""
        if digest_of(data) != digest:
            return False
        with self.lock:
            self.blobs[repository][digest] = data
        return True

    def mount(self, repository: str, digest: str, origin: str | None) -> bool:
        """Give the blob of another repository to this one; False when that has none such."""
        data = self.blob(origin, digest) if origin else None
        if data is None:
            return False
        with self.lock:
            self.blobs[repository][digest] = data
        return True

    def referrers(self, repository: str, subject: str) -> list[dict[str, Any]]:
        """Give the entries of all manifests of the repository that name a subject."""
        return [
            {
                "mediaType": media_type,
                "digest": digest,
                "size": len(self.manifests[repository][digest].data),
                "artifactType": value.get("artifactType", ""),
            }
            for digest, (value, media_type) in self._by_digest(repository).items()
            if value.get("subject", {}).get("digest") == subject
        ]

    def is_child(self, repository: str, digest: str) -> bool:
        """Tell whether an index of the repository lists the digest."""
        return any(
            line["digest"] == digest
            for value, media_type in self._values(repository)
            if media_type in INDEX_TYPES
            for line in value["manifests"]
        )

    def is_config(self, repository: str, digest: str) -> bool:
        """Tell whether a manifest of the repository names the digest as its config."""
        return any(
            value.get("config", {}).get("digest") == digest for value, _ in self._values(repository)
        )

    def _by_digest(self, repository: str) -> dict[str, tuple[dict[str, Any], str]]:
        with self.lock:
            found = dict(self.manifests.get(repository, {}))
        return {digest: (json.loads(m.data), m.media_type) for digest, m in found.items()}

    def _values(self, repository: str) -> Iterator[tuple[dict[str, Any], str]]:
        with self.lock:
            found = list(self.manifests.get(repository, {}).values())
        return ((json.loads(manifest.data), manifest.media_type) for manifest in found)

    def _missing(self, repository: str, value: dict[str, Any], media_type: str) -> bool:
        if media_type in INDEX_TYPES:
            known = self.manifests.get(repository, {})
            if self.partial_indexes:
                return False
            return any(line["digest"] not in known for line in value["manifests"])
        if self.partial_images:
            return False
        if media_type in SCHEMA1_TYPES:
            return any(self.blob(repository, li["blobSum"]) is None for li in value["fsLayers"])
        if media_type == OCI_ARTIFACT:
            wanted = value["blobs"]
        else:
            wanted = [value["config"], *value["layers"]]
        return any(self.blob(repository, line["digest"]) is None for line in wanted)
