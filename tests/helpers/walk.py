"""Pull an image whole and check every digest and size on the way."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.helpers.client import Client, Target, fetch_manifest
from tests.helpers.content import INDEX_TYPES, SCHEMA1_TYPES, Entry, digest_of

EMPTY_PLATFORM_FIELDS = ("architecture", "os", "variant", "os.version", "os.features")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """A whole image as a registry gave it; ``blobs`` and ``manifests`` are sizes by digest."""

    data: bytes
    media_type: str
    digest: str
    entries: tuple[Entry, ...]
    manifests: Mapping[str, int]
    blobs: Mapping[str, int]

    @property
    def value(self) -> dict[str, Any]:
        """Give the top manifest as JSON."""
        found: dict[str, Any] = json.loads(self.data)
        return found


def pull_everything(target: Target, repository: str, reference: str) -> Pulled:
    """Walk from the top over all children to every config and layer.

    AssertionError when something is missing or its digest or size is not as announced.
    Entries are those of the top index; a single manifest is one entry without platform.
    """
    with Client(target) as client:
        return _Walk(client, repository).whole(reference)


class _Walk:
    def __init__(self, client: Client, repository: str) -> None:
        self.client = client
        self.repository = repository
        self.manifests: dict[str, int] = {}
        self.blobs: dict[str, int] = {}

    def whole(self, reference: str) -> Pulled:
        data, media_type, digest = self._manifest(reference)
        if media_type in INDEX_TYPES:
            entries = tuple(self._listed(json.loads(data)))
        else:
            where = self._contents(data, media_type)
            entries = (
                Entry(
                    digest=digest,
                    media_type=media_type,
                    size=len(data),
                    platform=None,
                    config_platform=where,
                ),
            )
        return Pulled(
            data=data,
            media_type=media_type,
            digest=digest,
            entries=entries,
            manifests=self.manifests,
            blobs=self.blobs,
        )

    def _listed(self, index: dict[str, Any]) -> Iterator[Entry]:
        for line in index["manifests"]:
            data, media_type, digest = self._manifest(line["digest"])
            assert digest == line["digest"]
            assert (len(data), media_type) == (line["size"], line["mediaType"]), line
            annotations = line.get("annotations", {})
            yield Entry(
                digest=digest,
                media_type=media_type,
                size=len(data),
                platform=line.get("platform"),
                config_platform=self._contents(data, media_type),
                annotations=annotations,
                subject=annotations.get("vnd.docker.reference.digest"),
            )

    def _manifest(self, reference: str) -> tuple[bytes, str, str]:
        found = fetch_manifest(self.client, self.repository, reference)
        assert found is not None, f"{self.repository} has no manifest {reference}"
        data, media_type, digest = found
        if media_type not in SCHEMA1_TYPES:
            assert digest_of(data) == digest, f"manifest {reference} is not what its digest says"
        self.manifests[digest] = len(data)
        return found

    def _contents(self, data: bytes, media_type: str) -> dict[str, object] | None:
        """Pull what a manifest names; give the platform its config tells."""
        value = json.loads(data)
        if media_type in INDEX_TYPES:
            for _ in self._listed(value):
                pass
            return None
        if media_type in SCHEMA1_TYPES:
            for line in value["fsLayers"]:
                self._blob(line["blobSum"], None)
            return {"architecture": value["architecture"], "os": "linux"}
        for layer in value["layers"]:
            self._blob(layer["digest"], layer["size"])
        return _platform(self._blob(value["config"]["digest"], value["config"]["size"]))

    def _blob(self, digest: str, size: int | None) -> bytes:
        answer = self.client.ask("GET", f"/v2/{self.repository}/blobs/{digest}")
        assert answer.status == http.client.OK, f"{self.repository} has no blob {digest}"
        assert digest_of(answer.body) == digest, f"blob {digest} is not what its digest says"
        assert size is None or len(answer.body) == size, f"blob {digest}: {len(answer.body)} bytes"
        self.blobs[digest] = len(answer.body)
        return answer.body


def _platform(config: bytes) -> dict[str, object] | None:
    value = json.loads(config)
    found = {name: value[name] for name in EMPTY_PLATFORM_FIELDS if name in value}
    return found or None
