"""What lies in the memory of a registry double, looked through without any request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.helpers.content import INDEX_TYPES, SCHEMA1_TYPES, digest_of
from tests.helpers.fault_store import RegistryContent


def problems_of(store: RegistryContent, repository: str, reference: str) -> Iterator[str]:
    """Give what is missing or changed below a tag or digest: manifests, configs and layers."""
    found = store.manifest(repository, reference)
    if found is None:
        yield f"no manifest {reference}"
    elif found.media_type not in SCHEMA1_TYPES:
        if digest_of(found.data) != found.digest:
            yield f"the manifest {found.digest} is another"
        value = json.loads(found.data)
        if found.media_type in INDEX_TYPES:
            yield from _listed(store, repository, value["manifests"])
        else:
            yield from _named(store, repository, [value["config"], *value["layers"]])


def _listed(store: RegistryContent, repository: str, lines: list[dict[str, Any]]) -> Iterator[str]:
    for line in lines:
        child = store.manifest(repository, line["digest"])
        if child is not None and len(child.data) != line["size"]:
            yield f"the manifest {line['digest']} has another size"
        yield from problems_of(store, repository, line["digest"])


def _named(store: RegistryContent, repository: str, lines: list[dict[str, Any]]) -> Iterator[str]:
    for line in lines:
        data = store.blob(repository, line["digest"])
        if data is None:
            yield f"no blob {line['digest']}"
        elif (digest_of(data), len(data)) != (line["digest"], line["size"]):
            yield f"the blob {line['digest']} is another"
