"""What is read of an image, how often it is asked for, and what is too much."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from image_tools.errors import (
    DigestMismatch,
    ImageToolsError,
    InvalidManifest,
    NotFound,
    Unavailable,
)
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.platform import Platform
from image_tools.plan.inputs import DestinationImage, SourceImage
from image_tools.run import reader as reading
from image_tools.run.reader import Reader, Repository
from image_tools.stores.store import ManifestHead
from tests.helpers.descriptors import attestation, index, platform
from tests.helpers.memory_store import MemoryStore

ARM = "linux/arm64/v8"


class Site:
    """A repository with images, and a reader that looks at it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.repository = Repository(self.store, "team/app")
        self.reader = Reader()

    def config(self, where: str, size: int = 0) -> Descriptor:
        content = json.dumps({**platform(where).to_json(), "pad": " " * size}).encode()
        digest = self.store.add_blob("team/app", content)
        return Descriptor(media_type=media.OCI_CONFIG, digest=digest, size=len(content))

    def image(
        self, where: str = "linux/amd64", stated: str | None = None, **config: Any
    ) -> Descriptor:
        """The index entry of a new image of platform `where`; the entry says `stated`."""
        about = replace(self.config(where), **config)
        document = {"schemaVersion": 2, "config": about.to_json(), "layers": []}
        raw = self.add(RawManifest(media.OCI_MANIFEST, json.dumps(document).encode()))
        return replace(raw.descriptor, platform=platform(where if stated is None else stated))

    def add(self, raw: RawManifest) -> RawManifest:
        self.store.add_manifest("team/app", raw)
        return raw

    def nested(self, depth: int) -> tuple[RawManifest, ...]:
        """So many indexes, each in the next, the outermost last."""
        found = [self.add(index(self.image()))]
        for _ in range(depth - 1):
            found.append(self.add(index(found[-1].descriptor)))
        return tuple(found)

    def source(self, top: RawManifest) -> SourceImage:
        return asyncio.run(self.reader.source_image(self.repository, top))

    def destination(self, top: RawManifest) -> DestinationImage:
        head = ManifestHead(top.digest, top.media_type, None)
        return asyncio.run(self.reader.destination_image(self.repository, head))

    @property
    def asked(self) -> list[tuple[str, str]]:
        return [(call.operation, call.subject) for call in self.store.calls]


@pytest.fixture
def site() -> Site:
    return Site()


def schema1() -> RawManifest:
    layers = [{"blobSum": str(Digest.of(b"layer"))}]
    document = {"schemaVersion": 1, "architecture": "amd64", "fsLayers": layers}
    return RawManifest(media.DOCKER_SCHEMA1, json.dumps(document).encode())


def test_index_that_states_all_platforms_is_read_without_a_request(site: Site) -> None:
    image = site.image()
    about = attestation("x")
    top = index(image, about)

    assert site.source(top) == SourceImage(top=top, leaves=(image, about))
    assert site.asked == []


@pytest.mark.parametrize(
    ("stated", "found", "requests"),
    [
        ("", ARM, 2),
        ("linux", ARM, 2),
        ("/arm64", ARM, 2),
        ("linux/arm64", "linux/arm64", 0),
        ("linux/amd64", "linux/amd64", 0),
    ],
)
def test_entry_without_its_whole_platform_gets_it_from_the_config(
    site: Site, stated: str, found: str, requests: int
) -> None:
    top = index(site.image(ARM, stated))

    (leaf,) = site.source(top).leaves

    assert leaf.platform == platform(found)
    assert len(site.asked) == requests


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"os": 1}', b"\xff"])
def test_entry_whose_config_states_nothing_stays_without_a_platform(
    site: Site, content: bytes
) -> None:
    digest = site.store.add_blob("team/app", content)
    top = index(site.image(stated="", digest=digest, size=len(content)))

    assert site.source(top).leaves[0].platform == Platform()


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_nested_indexes_are_opened_innermost_first(site: Site, depth: int) -> None:
    indexes = site.nested(depth)

    found = site.source(indexes[-1])

    assert found.leaves == (site.image(),)
    assert found.nested == indexes[:-1]
    assert site.asked == [("manifest", str(raw.digest)) for raw in reversed(indexes[:-1])]


def test_leaves_of_nested_indexes_stand_where_their_index_stood(site: Site) -> None:
    first, second, last = (site.image(where) for where in ("linux/amd64", ARM, "linux/s390x"))
    inner = site.add(index(second))
    top = index(first, inner.descriptor, last, inner.descriptor)

    found = site.source(top)

    assert found.leaves == (first, second, last, second)
    assert found.nested == (inner,)
    assert site.asked == [("manifest", str(inner.digest))]


@pytest.mark.parametrize("read", ["source", "destination"])
def test_indexes_nested_too_deep_are_refused(site: Site, read: str) -> None:
    top = site.nested(5)[-1]

    with pytest.raises(InvalidManifest, match="nested more than 4 deep"):
        getattr(site, read)(top)


@pytest.mark.parametrize("read", ["source", "destination"])
def test_indexes_that_multiply_are_refused_before_they_are_opened(site: Site, read: str) -> None:
    inner = site.add(index(*[site.image()] * 3000))
    top = site.add(index(*[inner.descriptor] * 4))

    with pytest.raises(InvalidManifest, match="leads to more than 10000 entries"):
        getattr(site, read)(top)


def test_entry_that_claims_to_be_an_index_is_refused(site: Site) -> None:
    lying = replace(site.image(), media_type=media.OCI_INDEX)

    with pytest.raises(InvalidManifest, match="is listed as an index and is not one"):
        site.source(index(lying))


def test_nested_index_that_is_missing_at_the_source_is_named(site: Site) -> None:
    lost = index(site.image(ARM))

    with pytest.raises(NotFound, match=str(lost.digest)):
        site.source(index(site.image(), lost.descriptor))


@pytest.mark.parametrize("damage", ["missing", "no-manifest", "other-bytes", "no-index"])
def test_nested_index_that_is_lost_at_the_destination_is_left_out_and_told(
    site: Site, damage: str
) -> None:
    image, other = site.image(), site.image(ARM)
    whole, lost = site.add(index(other)), index(site.image("linux/s390x"))
    instead = {
        "no-manifest": RawManifest(media.OCI_INDEX, b"{}"),
        "no-index": site.store.repositories["team/app"].manifests[image.digest],
    }
    if damage in instead:
        site.store.repositories["team/app"].manifests[lost.digest] = instead[damage]
    if damage == "other-bytes":
        site.store.fail("manifest", lambda: DigestMismatch("other bytes"), times=99)
        site.reader.remember(whole.digest, whole)
    top = site.add(index(image, lost.descriptor, whole.descriptor))
    site.reader.remember(top.digest, top)

    found = site.destination(top)

    assert found == DestinationImage(top, (image, other), is_index=True, lost=(lost.descriptor,))


def test_entry_at_the_destination_whose_platform_cannot_be_read_is_left_out_and_told(
    site: Site,
) -> None:
    image, other = site.image(), site.image(ARM, "")
    del site.store.repositories["team/app"].manifests[other.digest]
    top = site.add(index(image, other))

    found = site.destination(top)

    assert found == DestinationImage(top, (image,), is_index=True, lost=(other,))


def test_destination_that_cannot_be_asked_has_lost_nothing(site: Site) -> None:
    nested = site.add(index(site.image()))
    top = site.add(index(nested.descriptor))
    site.reader.remember(top.digest, top)
    site.store.fail("manifest", lambda: Unavailable("gone"))

    with pytest.raises(Unavailable, match="gone"):
        site.destination(top)


def test_top_manifest_that_is_missing_at_the_destination_is_an_error(site: Site) -> None:
    with pytest.raises(NotFound):
        site.destination(index(site.image()))


@pytest.mark.parametrize("read", ["source", "destination"])
def test_indexes_that_name_each_other_are_asked_for_once_and_refused(site: Site, read: str) -> None:
    top = site.add(index(site.image()))
    for _ in range(3):
        top = site.add(index(*[top.descriptor] * 100))

    with pytest.raises(InvalidManifest, match="leads to more than 10000 entries"):
        getattr(site, read)(top)
    assert site.store.count("manifest") <= 4


def test_single_image_is_its_own_leaf_under_its_true_media_type(site: Site) -> None:
    image = site.image(ARM)
    raw = asyncio.run(site.reader.manifest(site.repository, image.digest))
    top = RawManifest("text/plain", raw.content)

    found = site.source(top)

    assert found == SourceImage(top=raw, leaves=(image,), single=True, artifact=False)


@pytest.mark.parametrize("read", ["source", "destination"])
def test_artifact_states_no_platform_and_its_config_is_not_asked_for(site: Site, read: str) -> None:
    chart = site.image(media_type="application/vnd.cncf.helm.config.v1+json")
    top = site.store.repositories["team/app"].manifests[chart.digest]

    found = getattr(site, read)(top)

    if read == "source":
        leaf = replace(chart, platform=Platform())
        assert found == SourceImage(top=top, leaves=(leaf,), single=True, artifact=True)
    else:
        assert found == DestinationImage(top, (), is_index=False)
    assert "blob" not in [operation for operation, _ in site.asked]


def test_destination_image_is_read_by_the_digest_of_its_head(site: Site) -> None:
    image, other = site.image(), site.image(ARM, "")
    listed = site.add(index(image, other))
    single = site.store.repositories["team/app"].manifests[image.digest]

    completed = replace(other, platform=platform(ARM))
    assert site.destination(listed) == DestinationImage(listed, (image, completed), is_index=True)
    assert site.destination(single) == DestinationImage(single, (image,), is_index=False)


@pytest.mark.parametrize(
    ("read", "words"), [("source", "has to be converted"), ("destination", "no list can take up")]
)
def test_schema_1_image_is_refused(site: Site, read: str, words: str) -> None:
    top = site.add(schema1())

    with pytest.raises(InvalidManifest, match=words):
        getattr(site, read)(top)


def test_child_is_the_manifest_behind_an_entry_and_nothing_else(site: Site) -> None:
    image = site.image()
    nested = site.add(index(image))

    async def child(entry: Descriptor) -> Any:
        return await site.reader.child(site.repository, entry)

    found = asyncio.run(child(image))
    assert (found.descriptor, found.raw.digest) == (image, image.digest)
    assert found.manifest.config == site.config("linux/amd64")
    with pytest.raises(InvalidManifest, match="is no image manifest"):
        asyncio.run(child(nested.descriptor))


def test_everything_is_asked_for_once_however_many_want_it_at_once(site: Site) -> None:
    top = index(site.image(ARM, ""), site.image("linux/amd64", ""))

    async def many() -> list[SourceImage]:
        works = (site.reader.source_image(site.repository, top) for _ in range(20))
        return list(await asyncio.gather(*works))

    assert len({found.leaves for found in asyncio.run(many())}) == 1
    assert sorted(operation for operation, _ in site.asked) == ["blob"] * 2 + ["manifest"] * 2


def test_what_failed_once_is_asked_for_again_by_the_next(site: Site) -> None:
    image = site.image()
    site.store.fail("manifest", lambda: Unavailable("once"))

    async def both() -> list[object]:
        works = (site.reader.manifest(site.repository, image.digest) for _ in range(2))
        return list(await asyncio.gather(*works, return_exceptions=True))

    failed, found = asyncio.run(both())
    assert isinstance(failed, Unavailable)
    assert isinstance(found, RawManifest)
    assert len(site.asked) == 2


@pytest.mark.parametrize("times", [1, 2])
def test_config_of_wrong_bytes_is_read_once_more(site: Site, times: int) -> None:
    config = site.config("linux/amd64")
    site.store.fail("chunk", lambda: DigestMismatch("other bytes"), times=times)

    async def scene() -> bytes:
        return await site.reader.config(site.repository, config)

    if times == 1:
        assert len(asyncio.run(scene())) == config.size
    else:
        with pytest.raises(DigestMismatch) as caught:
            asyncio.run(scene())
        assert caught.value.exhausted
    assert site.store.count("blob") == 2


@pytest.mark.parametrize("read", ["manifest", "config"])
def test_what_is_unknown_is_not_found(site: Site, read: str) -> None:
    lost = Descriptor(media_type="", digest=Digest.of(b"lost"), size=4)
    wanted = {
        "manifest": lambda: site.reader.manifest(site.repository, lost.digest),
        "config": lambda: site.reader.config(site.repository, lost),
    }

    with pytest.raises(NotFound):
        asyncio.run(_awaited(wanted[read]))
    assert site.reader.known(lost.digest) is None


async def _awaited(work: Callable[[], Awaitable[object]]) -> object:
    return await work()


@pytest.mark.parametrize(
    ("stated", "words", "asked"),
    [
        (reading.MAXIMUM_CONFIG_SIZE + 1, "has 8388609 bytes", 0),
        (10, "is longer than it says", 1),
    ],
)
def test_config_that_is_too_large_is_refused(
    site: Site, stated: int, words: str, asked: int
) -> None:
    long = site.config("linux/amd64", size=reading.MAXIMUM_CONFIG_SIZE)
    site.store.chunk_size = 1 << 20

    with pytest.raises(InvalidManifest, match=words):
        asyncio.run(site.reader.config(site.repository, replace(long, size=stated)))
    assert len(site.asked) == asked


def test_reader_forgets_the_longest_unused_beyond_its_bound(site: Site) -> None:
    site.reader = Reader(300)
    raws = [RawManifest("", bytes([number]) * 100) for number in range(4)]
    for raw in raws[:3]:
        site.reader.remember(raw.digest, raw)

    async def touched() -> None:
        await site.reader.manifest(site.repository, raws[0].digest)

    asyncio.run(touched())
    site.reader.remember(raws[3].digest, raws[3])
    site.reader.remember(raws[3].digest, raws[3])

    known = [site.reader.known(raw.digest) for raw in raws]
    assert known == [raws[0], None, raws[2], raws[3]]
    assert site.asked == []


def test_reader_keeps_the_one_it_has_just_read_however_long(site: Site) -> None:
    site.reader = Reader(1)
    top = index(site.image(ARM, ""), site.image("linux/amd64", ""))

    assert [str(leaf.platform) for leaf in site.source(top).leaves] == [ARM, "linux/amd64"]
    assert len(site.reader._contents) == 1


def test_failure_of_one_entry_ends_the_reading_of_all(site: Site) -> None:
    top = index(site.image(ARM, ""), site.image("linux/amd64", ""))
    site.store.fail("blob", lambda: Unavailable("gone"), times=2)

    with pytest.raises(ImageToolsError, match="gone"):
        site.source(top)
