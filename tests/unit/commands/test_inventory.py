"""What an inventory of a registry holds, and what is left out of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
from loguru import logger

from image_tools.commands.inventory import _inventory
from image_tools.imagelist.entry import Entry
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference
from image_tools.stores.archive.inventory import Inventory
from tests.helpers.descriptors import entry, index
from tests.helpers.memory_store import MemoryStore

LAYER = Digest.of(b"layer")


class Opened:
    """An Opening whose registries are all one store in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore("reg.example")

    def expect(self, _references: object) -> None:
        """Take up what will be read."""

    def source(self, _registry: str) -> MemoryStore:
        return self.store

    def add(self, repository: str, *raws: RawManifest) -> None:
        """The last of `raws` is what the tag 1 leads to."""
        for raw in raws:
            self.store.add_manifest(repository, raw)
        self.store.add_manifest(repository, raws[-1], "1")

    def inventory(self, *repositories: str) -> Inventory:
        references = [Reference("reg.example", repository, "1") for repository in repositories]
        entries = [
            Entry(number=number, line=number, raw="raw", source=reference, destination=reference)
            for number, reference in enumerate(references, 1)
        ]
        return asyncio.run(_inventory(entries, "base", cast(Any, self)))


def image() -> RawManifest:
    blob = {"mediaType": "x", "digest": str(LAYER), "size": 5}
    document = {"schemaVersion": 2, "config": blob, "layers": [blob]}
    return RawManifest(media.OCI_MANIFEST, json.dumps(document).encode())


def test_inventory_has_each_manifest_once_and_its_blobs() -> None:
    opened = Opened()
    inner = index(*[image().descriptor] * 20)
    top = index(*[inner.descriptor] * 20)
    opened.add("app", image(), inner, top)

    found = opened.inventory("app", "absent")

    sizes = {raw.digest: len(raw.content) for raw in (top, inner, image())}
    assert found.sizes == {**sizes, LAYER: 5}
    (held,) = found.images.values()
    assert held.blobs == tuple(found.sizes)
    assert opened.store.count("manifest") == 3


@pytest.mark.parametrize(
    ("levels", "width", "why"),
    [
        (5, 1, "indexes are nested more than 4 deep"),
        (4, 20, "the index leads to more than 10000 entries"),
    ],
)
def test_inventory_leaves_out_what_is_beyond_all_bounds_and_says_so(
    levels: int, width: int, why: str
) -> None:
    opened, said = Opened(), list[str]()
    raws = [image()]
    for _ in range(levels):
        raws.append(index(*[raws[-1].descriptor] * width))
    opened.add("odd", *raws)
    opened.add("app", image())
    number = logger.add(lambda message: said.append(message.record["message"]), level="WARNING")

    found = opened.inventory("odd", "app")

    logger.remove(number)
    assert [held.digest for held in found.images.values()] == [image().digest]
    assert found.sizes.keys() == {image().digest, LAYER}
    assert said == [f"reg.example/odd:1: left out: {why}"]
    assert opened.store.count("manifest") <= 6


def test_inventory_leaves_out_an_image_something_is_missing_of() -> None:
    opened = Opened()
    opened.add("cut", index(image().descriptor, entry("missing")))

    assert opened.inventory("cut").images == {}
