"""What lies at a path is told by its content."""

from __future__ import annotations

import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from image_tools.errors import ArchiveDamaged, UsageError
from image_tools.oci import media
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.content import FILE_FORMS, Form
from image_tools.stores.archive.image_contents import incomplete_images
from image_tools.stores.archive.opening import (
    Detected,
    PathKind,
    add_to_archive,
    detect,
    new_archive,
    read_archive,
    repair_archive,
    set_name,
)
from image_tools.stores.archive.volumes.volumes import VolumesContent
from tests.helpers.archive_files import add

NGINX = Reference.parse("nginx:1")
EMPTY_INDEX = RawManifest(media.OCI_INDEX, b'{"schemaVersion": 2, "manifests": []}')


def save(path: Path, form: Form, *, publish: bool = True) -> Path:
    archive = new_archive(path, form)
    archive.add_manifest(EMPTY_INDEX)
    archive.add_tag(NGINX, EMPTY_INDEX)
    if publish:
        archive.publish()
    archive.close()
    return path


@pytest.mark.parametrize("form", FILE_FORMS)
def test_archive_is_recognised_whatever_its_name(tmp_path: Path, form: Form) -> None:
    path = save(tmp_path / "images.zip", form)

    assert detect(path) == Detected(PathKind.ARCHIVE, form)
    for opened in (read_archive, add_to_archive):
        archive = opened(path)
        assert (archive.images, archive.name) == ((NGINX,), str(path))
        archive.close()


def _tar(path: Path) -> None:
    with tarfile.open(path / "x", "w:gz"):
        pass


OTHERS: dict[str, tuple[Callable[[Path], object], PathKind]] = {
    "nothing": (lambda path: None, PathKind.NOTHING),
    "empty file": (lambda path: (path / "x").touch(), PathKind.OTHER),
    "text": (lambda path: (path / "x").write_text("dear diary"), PathKind.OTHER),
    "foreign tar": (_tar, PathKind.OTHER),
    "folder": (lambda path: (path / "x/y").mkdir(parents=True), PathKind.OTHER_FOLDER),
    "cut": (lambda path: _cut(save(path / "x", Form.GZIP)), PathKind.OTHER),
}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_archive_is_neither_read_nor_added_to(tmp_path: Path, kind: str) -> None:
    make, expected = OTHERS[kind]
    make(tmp_path)
    path = tmp_path / "x"

    assert detect(path).kind is expected
    with pytest.raises((UsageError, ArchiveDamaged), match=str(path)):
        read_archive(path)
    with pytest.raises(UsageError, match=str(path)):
        add_to_archive(path)


@pytest.mark.parametrize("form", FILE_FORMS)
def test_archive_that_was_not_finished_is_not_read(tmp_path: Path, form: Form) -> None:
    path = save(tmp_path / "x", form, publish=False)

    with pytest.raises((UsageError, ArchiveDamaged)) as caught:
        read_archive(path)
    assert "again" in caught.value.advice
    assert save(path, form) == path
    read_archive(path).close()


@pytest.mark.parametrize("form", FILE_FORMS)
def test_new_archive_replaces_what_was_there_when_it_is_published(
    tmp_path: Path, form: Form
) -> None:
    path = save(tmp_path / "x", form)
    archive = new_archive(path, form)
    archive.add_manifest(EMPTY_INDEX)
    archive.add_tag(Reference.parse("other:2"), EMPTY_INDEX)
    before = read_archive(path)
    assert before.images == (NGINX,)
    before.close()
    archive.publish()
    archive.close()
    after = read_archive(path)
    assert after.images == (Reference.parse("other:2"),)
    after.close()


@pytest.mark.parametrize("form", FILE_FORMS)
def test_new_archive_without_images_replaces_nothing(tmp_path: Path, form: Form) -> None:
    path = save(tmp_path / "x", form)
    archive = new_archive(path, form)
    archive.publish()
    archive.close()
    archive = read_archive(path)
    assert archive.images == (NGINX,)
    archive.close()
    assert [found.name for found in tmp_path.iterdir()] == ["x"]


PART = 70_000
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def save_volumes(path: Path, *, publish: bool = True) -> Path:
    """Save one image in four volumes: small things, two layers, and the list."""
    archive = new_archive(path, Form.GZIP, PART)
    blobs = [random.Random(seed).randbytes(55_000) for seed in (1, 2)]
    value = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": _added(archive, media.OCI_CONFIG, b"{}"),
        "layers": [_added(archive, LAYER, blob) for blob in blobs],
    }
    manifest = RawManifest(media.OCI_MANIFEST, json.dumps(value).encode())
    archive.add_manifest(manifest)
    archive.add_tag(NGINX, manifest)
    if publish:
        archive.publish()
    archive.close()
    return path


def _added(archive: Archive, media_type: str, blob: bytes) -> dict[str, object]:
    digest = add(archive.content, blob)
    return {"mediaType": media_type, "digest": str(digest), "size": len(blob)}


def part(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.part{number}")


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tar.gz.part1", "x.tar.gz.part2"])
def test_archive_in_volumes_is_opened_by_each_of_its_names(tmp_path: Path, name: str) -> None:
    save_volumes(tmp_path / "x.tar.gz")

    assert detect(tmp_path / name) == Detected(PathKind.ARCHIVE, Form.GZIP, part_size=PART)
    assert set_name(tmp_path / name) == tmp_path / "x.tar.gz"
    for opened in (read_archive, add_to_archive):
        archive = opened(tmp_path / name)
        assert (archive.images, incomplete_images(archive)) == ((NGINX,), frozenset())
        archive.close()


@pytest.mark.parametrize("name", ["x", "x.part1", "x.part2"])
def test_volume_lost_is_told_with_its_images_and_what_to_do(tmp_path: Path, name: str) -> None:
    part(save_volumes(tmp_path / "x"), 1).unlink()

    for opened in (read_archive, add_to_archive):
        with pytest.raises(
            ArchiveDamaged, match=r"x is not whole: x\.part1 is missing: 2 blobs.*needed by .*nginx"
        ):
            opened(tmp_path / name)
    archive = read_archive(tmp_path / name, whole=False)
    assert incomplete_images(archive) == {NGINX}
    archive.close()


def test_last_volume_lost_can_be_repaired_and_nothing_else(tmp_path: Path) -> None:
    path = save_volumes(tmp_path / "x")
    last = max(tmp_path.iterdir())
    last.unlink()

    assert detect(path).kind is PathKind.OTHER
    with pytest.raises(ArchiveDamaged, match="last volume") as caught:
        read_archive(path)
    assert f"save --repair -f LIST -d {path}" in caught.value.advice
    archive = repair_archive(path, None)
    assert (archive.images, len([*archive.content.digests()])) == ((), 4)
    archive.close()


def test_volumes_not_finished_go_on(tmp_path: Path) -> None:
    path = save_volumes(tmp_path / "x", publish=False)

    assert detect(path).kind is PathKind.NOTHING
    with pytest.raises(UsageError) as caught:
        read_archive(path)
    assert "again" in caught.value.advice
    with pytest.raises(UsageError, match="volumes of"):
        new_archive(path, Form.GZIP)
    read_archive(save_volumes(path)).close()


def test_volumes_replaced_keep_their_size(tmp_path: Path) -> None:
    path = save_volumes(tmp_path / "x")

    archive = new_archive(path, Form.GZIP)
    assert isinstance(archive.content, VolumesContent)
    assert archive.content.part_size == PART
    archive.close()


def test_volumes_beside_a_file_of_their_name_are_refused(tmp_path: Path) -> None:
    save_volumes(tmp_path / "x")
    save(tmp_path / "y", Form.GZIP)
    part(tmp_path / "x", 1).rename(tmp_path / "alone")

    with pytest.raises(UsageError, match="in the way"):
        new_archive(tmp_path / "y", Form.GZIP, PART)
    for opened in (read_archive, add_to_archive, repair_alone):
        with pytest.raises(ArchiveDamaged, match="one volume of an archive"):
            opened(tmp_path / "alone")


def repair_alone(path: Path) -> Archive:
    return repair_archive(path, None)
