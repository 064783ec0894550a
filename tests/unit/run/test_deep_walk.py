"""Which blobs a sampled validation reads, and what a walk sees of a damaged repository."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.errors import Unavailable
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, RawManifest, index_bytes
from image_tools.run.deep_walk import Depth, Holding, Walk, is_sampled
from image_tools.run.reader import Reader, Repository
from image_tools.stores.store import ManifestHead
from image_tools.validation.verdict import Names
from tests.helpers.descriptors import index, platform
from tests.helpers.memory_store import MemoryStore

LAYER = b"layer"
CONFIG = b"{}"


def descriptor(content: bytes, media_type: str = "application/octet-stream") -> Descriptor:
    return Descriptor(media_type=media_type, digest=Digest.of(content), size=len(content))


def child(size: int = len(LAYER)) -> RawManifest:
    layer = {**descriptor(LAYER).to_json(), "size": size}
    config = descriptor(CONFIG, media.OCI_CONFIG).to_json()
    content = f'{{"schemaVersion":2,"config":{_json(config)},"layers":[{_json(layer)}]}}'
    return RawManifest(media.OCI_MANIFEST, content.encode())


def _json(value: object) -> str:
    return str(value).replace("'", '"')


def walked(store: MemoryStore, image: RawManifest, depth: Depth) -> tuple[str, ...]:
    return walk_of(store, image, depth)[1]


def walk_of(store: MemoryStore, image: RawManifest, depth: Depth) -> tuple[Walk, tuple[str, ...]]:
    entry = stated(image.descriptor)
    top = RawManifest(media.OCI_INDEX, index_bytes(Index(media.OCI_INDEX, (entry,))))
    store.add_manifest("team/app", top)
    return walked_from(store, top, (entry,), depth)


def stated(entry: Descriptor) -> Descriptor:
    return replace(entry, platform=platform("linux/amd64"))


def walked_from(
    store: MemoryStore,
    top: RawManifest,
    complete: tuple[Descriptor, ...],
    depth: Depth = Depth.TREE,
    origin: MemoryStore | None = None,
) -> tuple[Walk, tuple[str, ...]]:
    holding = Holding(Reader(), Repository(store, "team/app"), is_fresh=True)
    source = Repository(MemoryStore("far") if origin is None else origin, "team/app")
    walk = Walk(holding, source, Names(source="far", destination="reg/team/app", tag="1"), depth)

    async def work() -> tuple[str, ...]:
        await holding.held(ManifestHead(top.digest, top.media_type, None), walk.answer)
        return await walk.problems(complete)

    return walk, asyncio.run(work())


def stocked(image: RawManifest, *blobs: bytes) -> MemoryStore:
    store = MemoryStore("reg")
    store.add_manifest("team/app", image)
    for blob in blobs:
        store.add_blob("team/app", blob)
    return store


@pytest.mark.parametrize("depth", [Depth.TREE, Depth.CONTENT])
def test_walk_whole_image_has_no_problems(depth: Depth) -> None:
    image = child()
    assert walked(stocked(image, LAYER, CONFIG), image, depth) == ()


def test_walk_missing_blob_is_named() -> None:
    image = child()
    problem = f"[reg/team/app:1@{Digest.of(LAYER)}]: blob does not exists"
    assert walked(stocked(image, CONFIG), image, Depth.TREE) == (problem,)


def test_walk_blob_of_another_size_is_named() -> None:
    image = child(size=99)
    problem = f"[reg/team/app:1@{Digest.of(LAYER)}]: it has 5 bytes, not 99"
    assert walked(stocked(image, LAYER, CONFIG), image, Depth.TREE) == (problem,)


def test_walk_missing_child_is_named() -> None:
    image = child()
    problem = f"[reg/team/app:1@{image.digest}]: child manifest does not exists"
    assert walked(MemoryStore("reg"), image, Depth.TREE) == (problem,)


def test_walk_indexes_that_multiply_are_walked_once() -> None:
    store, image = stocked(child(), LAYER, CONFIG), child()
    top = image
    for _ in range(4):
        top = index(*(stated(top.descriptor) for _ in range(8)))
        store.add_manifest("team/app", top)

    assert walked_from(store, top, (image.descriptor,))[1] == ()
    assert store.count("manifest") == 5


def test_walk_indexes_that_multiply_beyond_all_bounds_are_named() -> None:
    store, image = stocked(child(), LAYER, CONFIG), child()
    top = image
    for _ in range(4):
        top = index(*(stated(top.descriptor) for _ in range(100)))
        store.add_manifest("team/app", top)

    problems = walked_from(store, top, (image.descriptor,))[1]
    assert {problem.partition("]: ")[2] for problem in problems} == {
        "the index leads to more than 10000 entries"
    }
    assert store.count("manifest") <= 5


def foreign(*urls: str) -> RawManifest:
    layer = {**descriptor(LAYER).to_json(), "urls": list(urls)}
    config = descriptor(CONFIG, media.OCI_CONFIG).to_json()
    content = f'{{"schemaVersion":2,"config":{_json(config)},"layers":[{_json(layer)}]}}'
    return RawManifest(media.OCI_MANIFEST, content.encode())


FOREIGN = {
    "at-both": (True, True, (), ()),
    "at-the-destination-alone": (True, False, (), ()),
    "at-the-source-alone": (False, True, ("blob does not exists",), ()),
    "at-neither": (
        *(False, False, ()),
        (
            f"reg/team/app:1: the foreign layer {Digest.of(LAYER)} is not at the source and not at "
            "the destination; clients download it from https://far.example/layer",
        ),
    ),
}


@pytest.mark.parametrize(("here", "there", "says", "warns"), FOREIGN.values(), ids=FOREIGN)
def test_walk_foreign_layer_is_missed_where_the_source_has_it(
    here: bool, there: bool, says: tuple[str, ...], warns: tuple[str, ...]
) -> None:
    image = foreign("https://far.example/layer", "https://other.example/layer")
    store = stocked(image, CONFIG, *([LAYER] if here else []))
    origin = stocked(image, *([LAYER] if there else []))
    walk, problems = walked_from(store, image, (image.descriptor,), origin=origin)

    assert problems == tuple(f"[reg/team/app:1@{Digest.of(LAYER)}]: {said}" for said in says)
    assert tuple(walk.warnings) == warns
    assert not walk.found_wrong


def test_walk_foreign_layer_at_the_destination_is_read_as_any_other() -> None:
    image = foreign("https://far.example/layer")
    store = stocked(image, CONFIG, LAYER)
    store.repositories["team/app"].blobs[Digest.of(LAYER)] = b"wrong"
    problems = walked_from(store, image, (image.descriptor,), Depth.CONTENT)[1]

    assert "the blob is damaged" in problems[0]


def test_walk_entry_of_two_sizes_is_named() -> None:
    image = child()
    store = stocked(image, LAYER, CONFIG)
    entry = image.descriptor
    top = index(entry, replace(entry, size=3))
    store.add_manifest("team/app", top)

    said = f"{entry.digest} has {entry.size} bytes, the index says 3"
    assert walked_from(store, top, (entry,))[1] == (f"[reg/team/app:1@{entry.digest}]: {said}",)


def test_walk_what_is_lost_is_not_found_wrong() -> None:
    walk, problems = walk_of(stocked(child(), CONFIG), child(), Depth.CONTENT)
    assert (len(problems), walk.found_wrong) == (1, False)


def test_walk_what_is_there_in_another_shape_is_found_wrong() -> None:
    image = child(size=99)
    assert walk_of(stocked(image, LAYER, CONFIG), image, Depth.TREE)[0].found_wrong


def test_walk_blob_that_is_announced_and_not_given_out_is_named() -> None:
    image = child()
    store = stocked(image, LAYER, CONFIG)
    store.fail("blob", lambda: Unavailable("cut"), times=2)
    walk, problems = walk_of(store, image, Depth.CONTENT)
    assert problems == tuple(
        f"[reg/team/app:1@{Digest.of(blob)}]: the blob cannot be read: cut"
        for blob in (CONFIG, LAYER)
    )
    assert walk.found_wrong


@pytest.mark.parametrize("operation", ["blob_size", "manifest"])
def test_walk_registry_that_does_not_answer_is_no_difference(operation: str) -> None:
    store = stocked(child(), LAYER, CONFIG)
    store.fail(operation, lambda: Unavailable("down"), times=3)
    with pytest.raises(Unavailable, match="down"):
        walked(store, child(), Depth.TREE)


def test_walk_registry_that_goes_away_while_it_is_read_is_no_difference() -> None:
    store = stocked(child(), LAYER, CONFIG)
    store.fail("blob", lambda: Unavailable("cut"), times=2)
    store.fail("manifest_head", lambda: Unavailable("down"), times=2)
    with pytest.raises(Unavailable, match="down"):
        walked(store, child(), Depth.CONTENT)


@given(st.binary(min_size=1, max_size=20), st.floats(0, 1))
def test_sample_is_always_the_same_and_grows_with_its_part(content: bytes, part: float) -> None:
    digest = Digest.of(content)
    assert is_sampled(digest, 1.0)
    assert not is_sampled(digest, 0.0)
    assert not is_sampled(digest, part) or is_sampled(digest, min(1.0, part + 0.1))
