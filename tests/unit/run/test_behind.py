"""Looking behind an unchanged tag: what counts as lost, and what a registry only does not tell."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from image_tools.errors import AccessDenied, CopyFailed, Unavailable
from image_tools.exchange.ledger import Ledger
from image_tools.exchange.sessions import TrackedStore
from image_tools.imagelist.entry import Entry
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference
from image_tools.run.behind import Behind
from image_tools.run.endpoints import Destination
from image_tools.run.job import Job
from image_tools.run.reader import Repository
from tests.helpers.descriptors import index
from tests.helpers.memory_store import MemoryStore

REPOSITORY, LAYER, CONFIG = "team/app", b"layer", b"{}"


def image(name: str, *, urls: tuple[str, ...] = ()) -> RawManifest:
    config, layer = (
        {"mediaType": "x", "digest": str(Digest.of(blob)), "size": len(blob)}
        for blob in (CONFIG, LAYER)
    )
    found = {
        "schemaVersion": 2,
        "config": config,
        "layers": [{**layer, "urls": list(urls)} if urls else layer],
        "annotations": {"name": name},
    }
    return RawManifest(media.OCI_MANIFEST, json.dumps(found).encode())


class Lab:
    """A destination with an index of images, and the source it came from."""

    def __init__(self, *images: RawManifest) -> None:
        self.source, self.destination = MemoryStore("src.example"), MemoryStore("dst.example")
        self.images, self.top = images, index(*(one.descriptor for one in images))
        for raw in (*images, self.top):
            self.destination.add_manifest(REPOSITORY, raw)
        for blob in (CONFIG, LAYER):
            self.destination.add_blob(REPOSITORY, blob)
        ends = (Reference(one.name, REPOSITORY, "1") for one in (self.source, self.destination))
        source, destination = ends
        self.job = Job(
            entry=Entry(number=1, line=1, raw="raw", source=source, destination=destination),
            source=Repository(self.source, REPOSITORY),
            end=Destination(TrackedStore(self.destination, Ledger()), cast(Any, None)),
        )

    def broken(self) -> frozenset[Digest]:
        return asyncio.run(Behind().broken(self.job, self.top.digest))

    def lose(self, raw: RawManifest) -> None:
        del self.destination.repositories[REPOSITORY].manifests[raw.digest]

    def lose_layer(self) -> None:
        del self.destination.repositories[REPOSITORY].blobs[Digest.of(LAYER)]


def test_broken_of_a_whole_image_is_nothing_and_a_shared_blob_is_asked_for_once() -> None:
    lab = Lab(image("a"), image("b"))

    assert lab.broken() == frozenset()
    assert lab.destination.count("blob_size") == 2
    assert lab.destination.count("manifest") == 3
    assert lab.destination.count("blob") == 0


def test_broken_names_each_manifest_that_is_lost() -> None:
    lab = Lab(image("a"), image("b"))
    lab.lose(lab.images[1])

    assert lab.broken() == {lab.images[1].digest}


def test_broken_names_each_manifest_of_which_a_blob_is_lost() -> None:
    lab = Lab(image("a"), image("b"))
    lab.lose_layer()

    assert lab.broken() == {one.digest for one in lab.images}


def test_broken_index_that_cannot_be_read_is_itself_lost() -> None:
    lab = Lab(image("a"))
    lab.lose(lab.top)

    assert lab.broken() == {lab.top.digest}


def refused(kind: type[CopyFailed], status: int) -> Callable[[], CopyFailed]:
    def make() -> CopyFailed:
        error = kind("no", status=status)
        error.answered = True
        return error

    return make


def test_broken_blob_that_the_registry_fails_on_is_lost() -> None:
    lab = Lab(image("a"))
    lab.destination.fail("blob_size", refused(Unavailable, 500))

    assert lab.broken() == {lab.images[0].digest}


def test_broken_blob_that_the_registry_does_not_tell_of_is_taken_as_there() -> None:
    lab = Lab(image("a"))
    lab.destination.fail("blob_size", refused(AccessDenied, 403))

    assert lab.broken() == frozenset()

    said = "dst.example does not say which blobs it has: they are not checked"
    assert lab.job.warnings == [said]


def test_broken_registry_that_cannot_be_reached_ends_the_look() -> None:
    lab = Lab(image("a"))
    lab.destination.fail("blob_size", lambda: Unavailable("gone"))

    with pytest.raises(Unavailable, match="gone"):
        lab.broken()


@pytest.mark.parametrize("held", [False, True])
def test_broken_foreign_layer_is_lost_only_where_the_source_has_it(held: bool) -> None:
    lab = Lab(image("a", urls=("https://far.example/layer",)))
    lab.lose_layer()
    if held:
        lab.source.add_blob(REPOSITORY, LAYER)

    assert lab.broken() == ({lab.images[0].digest} if held else frozenset())
