"""Writing: what a registry refuses is done in the plain way, and refused once for all."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from image_tools.errors import ImageToolsError
from image_tools.oci.digest import Digest
from image_tools.stores.remote.registry import Remote
from tests.helpers import images
from tests.helpers.content import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Image
from tests.helpers.studio import Studio
from tests.zoo.behaviour import UPLOADS, Behaviour
from tests.zoo.pushing import (
    AbortRefused,
    BlobUnknown,
    ForeignLayersFail,
    LimitsUploads,
    ManifestPutAnswers,
    MediaTypeRefused,
    MountIgnored,
    MountRefused,
    SinglePutRefused,
)
from tests.zoo.reading import EventuallyConsistent
from tests.zoo.registry import ZooRegistry
from tests.zoo.sample import sample
from tests.zoo.trip import NAME, SMALL, TAG, Trip, ask, filled, send

FOUR = tuple(f"team/app{number}:1.0" for number in range(4))
MOUNTS_REFUSED = (400, 401, 403, 404, 405, 409, 422, 500, 501)


def shared(registry: ZooRegistry) -> ZooRegistry:
    """Fill in four images of four repositories that share their lower layers."""
    for number, image in enumerate(FOUR):
        registry.load(image.partition(":")[0], TAG, images.shared_base(number, sizes=(3000, 2000)))
    return registry


def foreign(kind: str) -> Image:
    """Return an image with one layer that has urls."""
    studio = Studio(kind, 1)
    layers = studio.own_layers("amd64")
    config = studio.config(images.AMD64, layers)
    manifest = studio.image_manifest(config, layers)
    value = json.loads(manifest.data)
    value["layers"][0]["urls"] = ["https://example.invalid/layer"]
    made = studio.manifest(value, OCI_MANIFEST)
    return studio.single(studio.entry(made, None, config_platform=images.AMD64))


# --- mounts


@pytest.mark.parametrize("status", sample(MOUNTS_REFUSED, 405, 500))
def test_mount_that_is_refused_becomes_an_upload(status: int, tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(MountRefused(status)) as destination:
        trip = Trip(source=shared(source), destination=destination, folder=tmp_path)
        ran = trip.mirror(images=FOUR)
        mounts = [seen for seen in destination.requests if "mount=" in seen.query]

    assert ran.statuses == ["copied"] * 4, ran.stderr
    # Those on their way together cannot know of each other; nobody asks again behind them.
    assert len(mounts) == len({(seen.path, seen.query) for seen in mounts})


@pytest.mark.parametrize("status", MOUNTS_REFUSED)
def test_mount_that_was_refused_is_not_asked_for_again(status: int) -> None:
    async def several(store: Remote) -> None:
        for blob in SMALL.blobs:
            with suppress(ImageToolsError):
                await store.mount("team/other", Digest.parse(blob.digest), NAME)

    with ZooRegistry(MountRefused(status)) as registry:
        ask(filled(registry), several)
        mounts = {seen.query for seen in registry.requests if "mount=" in seen.query}

    assert len(mounts) == 1


@pytest.mark.parametrize("behaviours", [(), (MountIgnored(),)], ids=["mounted", "ignored"])
def test_blobs_of_several_repositories_arrive_with_mounts_and_without(
    behaviours: tuple[Behaviour, ...], tmp_path: Path
) -> None:
    with ZooRegistry() as source, ZooRegistry(*behaviours) as destination:
        ran = Trip(source=shared(source), destination=destination, folder=tmp_path).mirror(
            images=FOUR
        )

    assert ran.statuses == ["copied"] * 4, ran.stderr


# --- blobs


@pytest.mark.parametrize("status", sample([400, 413, 404], 400))
def test_single_put_that_is_refused_becomes_patch_and_put(status: int, tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(SinglePutRefused(status)) as destination:
        trip = Trip(source=shared(source), destination=destination, folder=tmp_path)
        ran = trip.mirror("-j", "1", images=FOUR)
        refused = [s for s in destination.asked("PUT", UPLOADS) if s.status == status]

    assert ran.statuses == ["copied"] * 4, ran.stderr
    # Some were on their way together when the first was refused; all others begin with PATCH.
    assert 1 <= len(refused) <= destination.put_blobs() / 3


def test_second_upload_where_the_single_put_was_refused_begins_with_patch() -> None:
    async def two(store: Remote) -> None:
        for data in (b"one" * 1000, b"two" * 1000):
            await send(store, data)

    with ZooRegistry(SinglePutRefused()) as registry:
        ask(registry, two)
        methods = [s.method for s in registry.requests if f"/{UPLOADS}/" in s.path]

    assert methods.count("PATCH") == 2
    assert [m for m in methods if m != "DELETE"][-3:] == ["POST", "PATCH", "PUT"]


def test_upload_limited_for_a_while_arrives(tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(LimitsUploads(2)) as destination:
        ran = Trip(source=filled(source), destination=destination, folder=tmp_path).mirror()

    assert ran.statuses == ["copied"], ran.stderr


@pytest.mark.parametrize("status", sample([405, 404, 500], 405))
def test_upload_that_cannot_be_given_up_is_no_failure(status: int, tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(AbortRefused(status)) as destination:
        trip = Trip(source=shared(source), destination=destination, folder=tmp_path)
        ran = trip.mirror(images=FOUR)

    assert ran.statuses == ["copied"] * 4, ran.stderr


@pytest.mark.parametrize("status", [405, 404, 500])
def test_upload_that_cannot_be_given_up_is_given_up_once(status: int) -> None:
    async def twice(store: Remote) -> None:
        for _ in range(2):
            await (await store.upload(NAME)).abort()

    with ZooRegistry(AbortRefused(status)) as registry:
        ask(registry, twice)
        aborts = {seen.path for seen in registry.asked("DELETE", UPLOADS)}

    assert len(aborts) == 1


# --- manifests


@pytest.mark.parametrize("status", [404, 400])
@pytest.mark.parametrize("kind", ["helm_chart", "oci_index"])
def test_blob_that_is_unknown_once_after_it_was_stored_is_no_failure(
    kind: str, status: int, tmp_path: Path
) -> None:
    with ZooRegistry() as source, ZooRegistry(BlobUnknown(status=status)) as destination:
        filled(source, images.KINDS[kind](1))
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror()

    assert ran.statuses == ["copied"], ran.stderr


def test_blob_that_stays_unknown_fails_after_one_repeat(tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(BlobUnknown(1000)) as destination:
        ran = Trip(source=filled(source), destination=destination, folder=tmp_path).mirror()
        puts = len(destination.asked("PUT", "manifests"))

    assert (ran.statuses, puts) == (["failed"], 2), ran.stderr


@pytest.mark.parametrize("status", sample([200, 202, 204], 204))
@pytest.mark.parametrize("kind", ["helm_chart", "oci_index"])
def test_manifest_stored_with_another_success_is_stored(
    kind: str, status: int, tmp_path: Path
) -> None:
    with ZooRegistry() as source, ZooRegistry(ManifestPutAnswers(status)) as destination:
        filled(source, images.KINDS[kind](1))
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror()

    assert ran.statuses == ["copied"], ran.stderr


@pytest.mark.parametrize("status", sample([415, 400], 415))
@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        pytest.param("docker_list", (DOCKER_LIST, DOCKER_MANIFEST), id="zot"),
        pytest.param("oci_index", (OCI_INDEX,), id="swr"),
    ],
)
def test_type_that_is_refused_is_named(
    kind: str, refused: tuple[str, ...], status: int, tmp_path: Path
) -> None:
    words = "Invalid image, fail to parse 'manifest.json'"
    refuses = MediaTypeRefused(refused, status, words=words)
    with ZooRegistry() as source, ZooRegistry(refuses) as destination:
        filled(source, images.KINDS[kind](1))
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror()

    found = ran.only()
    assert (ran.code, found["kind"]) == (1, "type-refused"), found
    assert any(name in found["reason"] for name in refused), found
    assert "--debug" not in found["advice"]


def test_layer_with_urls_that_a_registry_fails_on_is_named(tmp_path: Path) -> None:
    image = foreign("foreign_layers")
    with ZooRegistry() as source, ZooRegistry(ForeignLayersFail()) as destination:
        filled(source, image)
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror()
        puts = len(destination.asked("PUT", "manifests"))

    found = ran.only()
    text = f"{found['reason']} {found['advice']}"
    assert ran.code == 1
    assert "validation.manifests.urls.allow" in text
    assert "example.invalid" in text or "sha256:" in text
    assert puts == 1


def test_tag_that_shows_late_is_copied(tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(EventuallyConsistent(1)) as destination:
        trip = Trip(source=filled(source), destination=destination, folder=tmp_path)
        ran = trip.mirror()
        again = trip.mirror()

    assert (ran.statuses, again.statuses) == (["copied"], ["unchanged"]), ran.stderr


def test_blob_of_a_single_put_is_stored_whole() -> None:
    data = b"0123456789" * 500
    with ZooRegistry(SinglePutRefused()) as registry:
        ask(registry, lambda store: send(store, data))

        assert registry.store.blob(NAME, str(Digest.of(data))) == data
