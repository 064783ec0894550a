"""A destination that holds a blob of another size: it is sent, whichever way an image goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.content import Image
from tests.helpers.fault_types import Stage
from tests.helpers.faults import FaultRegistry
from tests.helpers.running import Ran, image_tools, mirror

IMAGE = images.oci_index(2)
WAYS = [(), ("--no-ahead",), ("--direct",)]


class Keeping(FaultRegistry):
    """A registry that keeps what lies in its storage, as docker-registry 2.8 does."""

    def keep(self) -> None:
        stored = self.store.put_blob

        def put_blob(repository: str, digest: str, data: bytes) -> bool:
            here = self.store.blob(repository, digest)
            if here is not None:
                return True
            return stored(repository, digest, data)

        self.store.put_blob = put_blob  # type: ignore[method-assign]


@pytest.fixture
def destination() -> Iterator[Keeping]:
    """Give a destination with a short copy of the image's biggest blob."""
    with Keeping() as double:
        biggest = max(IMAGE.blobs, key=lambda blob: len(blob.data))
        double.store.blobs["team/app"][biggest.digest] = biggest.data[:-1]
        yield double


def run(source: FaultRegistry, to: FaultRegistry, folder: Path, *words: str) -> Ran:
    source.load("team/app", "1.0", IMAGE)
    # What is refused for good, too, is asked once more, and no oftener.
    fixed = ("--arch", "all", "--os", "all", "--retry-times", "1")
    return mirror(folder, f"{source.address}/team/app:1.0\n", "-d", to.address, *fixed, *words)


def held(destination: FaultRegistry, image: Image) -> bool:
    there = destination.store.blobs["team/app"]
    return all(there.get(blob.digest) == blob.data for blob in image.blobs)


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_blob_of_another_size_at_the_destination_is_sent(
    fault_registry: FaultRegistry, destination: Keeping, tmp_path: Path, way: tuple[str, ...]
) -> None:
    ran = run(fault_registry, destination, tmp_path, *way)

    assert ran.statuses == ["copied"], ran.stderr
    assert held(destination, IMAGE)


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_blob_of_another_size_that_the_registry_keeps_fails_the_image(
    fault_registry: FaultRegistry, destination: Keeping, tmp_path: Path, way: tuple[str, ...]
) -> None:
    destination.keep()
    ran = run(fault_registry, destination, tmp_path, *way)

    outcome = ran.only()
    assert outcome["status"] == "failed"
    assert "keeps them when it is sent again" in outcome["reason"], ran.stderr
    assert "remove that blob there" in outcome["advice"]
    assert "1.0" not in destination.store.tags["team/app"]


def test_dry_run_counts_a_blob_of_another_size_as_missing(
    fault_registry: FaultRegistry, destination: Keeping, tmp_path: Path
) -> None:
    ran = run(fault_registry, destination, tmp_path, "--dry-run")

    (row,) = ran.report["rows"]
    assert row["bytes_to_move"] == sum(len(blob.data) for blob in IMAGE.blobs), ran.stderr
    assert fault_registry.count(Stage.BLOB) == 0


def test_blob_of_another_size_in_a_folder_is_saved_again(
    fault_registry: FaultRegistry, tmp_path: Path
) -> None:
    fault_registry.load("team/app", "1.0", IMAGE)
    listed, archive = tmp_path / "list.txt", tmp_path / "images"
    listed.write_text(f"{fault_registry.address}/team/app:1.0\n")
    words = ("-f", listed, "-d", archive, "-c", "dir", "--arch", "all", "--os", "all")
    assert image_tools("save", *words).code == 0
    biggest = max(IMAGE.blobs, key=lambda blob: len(blob.data))
    path = archive / "blobs/sha256" / biggest.digest.removeprefix("sha256:")
    path.write_bytes(biggest.data[:-1])

    ran = image_tools("save", *words, "--format", "json")

    assert ran.statuses == ["copied"], ran.stderr
    assert path.read_bytes() == biggest.data
    assert image_tools("archive", "verify", archive).code == 0
