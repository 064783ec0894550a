"""What lies in the memory of a registry double, looked through without any request."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.helpers.content import INDEX_TYPES, SCHEMA1_TYPES, digest_of
from tests.helpers.fault_store import MemoryStore


def problems_of(store: MemoryStore, repository: str, reference: str) -> Iterator[str]:
    """Give what is missing or changed below a tag: every manifest, config and layer is looked at."""
    found = store.manifest(repository, reference)
    if found is None:
        yield f"no manifest {reference}"
        return
    if found.media_type in SCHEMA1_TYPES:
        return
    if digest_of(found.data) != found.digest:
        yield f"the manifest {found.digest} is another"
    value = json.loads(found.data)
    if found.media_type in INDEX_TYPES:
        for line in value["manifests"]:
            child = store.manifest(repository, line["digest"])
            if child is not None and len(child.data) != line["size"]:
                yield f"the manifest {line['digest']} has another size"
            yield from problems_of(store, repository, line["digest"])
        return
    for line in (value["config"], *value["layers"]):
        data = store.blob(repository, line["digest"])
        if data is None:
            yield f"no blob {line['digest']}"
        elif (digest_of(data), len(data)) != (line["digest"], line["size"]):
            yield f"the blob {line['digest']} is another"
