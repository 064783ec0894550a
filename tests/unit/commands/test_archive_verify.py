"""Every byte of an archive hashed: what is damaged, and who needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_tools.commands.archive_verify import Damage, Verification, archive_verify
from image_tools.oci.digest import Digest
from image_tools.stores.archive.others.cache import Foreign
from tests.helpers.memory_run import saved_archive
from tests.helpers.memory_store import MemoryStore

LAYER = Digest.of(b"team/app:1 for linux/amd64")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return saved_archive(tmp_path, MemoryStore("src.example"), "linux/amd64", "linux/arm64")[0]


def verified(archive: Path) -> tuple[Verification, list[tuple[int, int]]]:
    steps: list[tuple[int, int]] = []
    found = archive_verify(archive, Foreign(), lambda done, total: steps.append((done, total)))
    return found, steps


def test_archive_without_damage_is_read_to_its_end(archive: Path) -> None:
    found, steps = verified(archive)

    assert (found.images, found.blobs, found.damaged, found.lost) == (1, 7, (), ())
    assert steps[-1] == (found.size, found.size)
    assert steps == sorted(steps)


@pytest.mark.parametrize("gone", [False, True])
def test_damage_names_the_images_that_need_it(archive: Path, gone: bool) -> None:
    blob = archive / "blobs/sha256" / LAYER.hex
    blob.chmod(0o644)
    if gone:
        blob.unlink()
    else:
        blob.write_bytes(b"x" * blob.stat().st_size)
    found, _ = verified(archive)
    (damage,) = found.damaged

    assert damage == Damage(
        digest=LAYER, problem=damage.problem, images=("src.example/team/app:1",)
    )
    assert found.to_json()["damaged"] == [
        {
            "digest": str(LAYER),
            "problem": damage.problem,
            "images": ["src.example/team/app:1"],
        }
    ]
