"""What buildx must not get: looked for behind an index, within the bounds of every walk."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from image_tools.errors import DigestMismatch
from image_tools.exchange.ledger import Ledger
from image_tools.exchange.sessions import TrackedStore
from image_tools.imagelist.entry import Entry
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference
from image_tools.run.endpoints import Destination
from image_tools.run.job import Job
from image_tools.run.reader import Reader, Repository
from image_tools.run.tools.assembler import Assembler
from tests.helpers.descriptors import entry, index
from tests.helpers.memory_store import MemoryStore

REPOSITORY = "team/app"
NOTHING = cast(Any, None)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore("dst.example")


def image(**more: object) -> RawManifest:
    blob = {"mediaType": "x", "digest": str(Digest.of(b"")), "size": 0}
    document = {"schemaVersion": 2, "config": blob, "layers": [{**blob, **more}]}
    return RawManifest(media.OCI_MANIFEST, json.dumps(document).encode())


def reason(store: MemoryStore, top: RawManifest) -> str | None:
    reference = Reference(store.name, REPOSITORY, "1")
    job = Job(
        entry=Entry(number=1, line=1, raw="raw", source=reference, destination=reference),
        source=Repository(store, REPOSITORY),
        end=Destination(TrackedStore(store, Ledger()), NOTHING),
    )
    assembler = Assembler(NOTHING, Reader(), NOTHING, NOTHING, NOTHING)
    return asyncio.run(assembler._leaves_the_exchange(job, top))


def nested(store: MemoryStore, *raws: RawManifest, levels: int, width: int = 1) -> RawManifest:
    for raw in raws:
        store.add_manifest(REPOSITORY, raw)
    top = index(*(raw.descriptor for raw in raws))
    for _ in range(levels - 1):
        store.add_manifest(REPOSITORY, top)
        top = index(*[top.descriptor] * width)
    return top


@pytest.mark.parametrize("levels", [1, 4])
def test_index_is_passed_on_unless_something_behind_it_has_urls(
    store: MemoryStore, levels: int
) -> None:
    foreign = image(urls=["https://elsewhere.example/layer"])

    assert reason(store, nested(store, image(), levels=levels)) is None
    assert reason(store, nested(store, image(), foreign, levels=levels)) == "a layer has urls"


def test_index_whose_images_are_missing_is_passed_on(store: MemoryStore) -> None:
    assert reason(store, index(entry("missing"))) is None


def test_index_over_what_is_unknown_to_us_is_not_passed_on(store: MemoryStore) -> None:
    top = nested(store, RawManifest("", b"{}"), levels=1)

    assert "a manifest in it is unknown to us" in str(reason(store, top))


@pytest.mark.parametrize(("levels", "width"), [(5, 1), (4, 100)])
def test_index_beyond_all_bounds_is_read_once_and_not_passed_on(
    store: MemoryStore, levels: int, width: int
) -> None:
    top = nested(store, image(), levels=levels, width=width)

    assert "a manifest in it is unknown to us" in str(reason(store, top))
    assert store.count("manifest") <= 4


def test_index_over_what_arrives_damaged_is_a_failure(store: MemoryStore) -> None:
    top = nested(store, image(), levels=1)
    store.fail("manifest", lambda: DigestMismatch("other bytes"))

    with pytest.raises(DigestMismatch):
        reason(store, top)
