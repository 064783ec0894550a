"""The images of an archive, as a table and as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_tools.commands.archive_ls import ArchivedImage, Listing, archive_ls
from image_tools.errors import UsageError
from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform
from image_tools.oci.reference import Reference
from image_tools.stores.archive.others.cache import Foreign
from tests.helpers.memory_run import saved_archive
from tests.helpers.memory_store import MemoryStore

ARM, AMD = Platform("linux", "arm64"), Platform("linux", "amd64")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore("src.example")


def listed(home: Path, store: MemoryStore) -> tuple[Listing, Digest]:
    path, digest = saved_archive(home, store, "linux/amd64", "linux/arm64")
    return archive_ls(path, Foreign()), digest


def test_listing_has_every_image_with_its_origin(tmp_path: Path, store: MemoryStore) -> None:
    found, digest = listed(tmp_path, store)
    held = store.repositories["team/app"]
    sizes = [*map(len, held.blobs.values()), *(len(raw.content) for raw in held.manifests.values())]
    (image,) = found.images

    assert image == ArchivedImage(
        reference=Reference.parse("src.example/team/app:1"),
        digest=str(digest),
        platforms=(AMD, ARM),
        size=image.size,
        source="src.example/team/app:1",
    )
    assert (found.blobs, found.size, found.exit_code) == (len(sizes), sum(sizes), 0)


def test_listing_as_json_is_what_scripts_rely_on(tmp_path: Path, store: MemoryStore) -> None:
    found, digest = listed(tmp_path, store)
    (image,) = found.images

    assert found.to_json() == {
        "schema": 1,
        "command": "archive ls",
        "archive": str(found.archive),
        "images": [
            {
                "reference": "src.example/team/app:1",
                "digest": str(digest),
                "platforms": ["linux/amd64", "linux/arm64"],
                "size": image.size,
                "source": "src.example/team/app:1",
                "problem": "",
            }
        ],
        "blobs": found.blobs,
        "size": found.size,
    }


def test_listing_of_an_image_that_lost_a_blob_fails(tmp_path: Path, store: MemoryStore) -> None:
    path, _ = saved_archive(tmp_path, store, "linux/amd64")
    lost = Digest.of(b"team/app:1 for linux/amd64")
    (path / "blobs/sha256" / lost.hex).unlink()
    found = archive_ls(path, Foreign())

    assert found.exit_code == 1
    assert str(lost) in found.images[0].problem


def test_listing_of_nothing_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        archive_ls(tmp_path / "none", Foreign())
