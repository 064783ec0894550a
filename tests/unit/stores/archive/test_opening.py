"""What lies at a path is told by its content."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from image_tools.errors import ArchiveDamaged, UsageError
from image_tools.oci import media
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.forms import Form, form_named
from image_tools.stores.archive.nothing import Nothing
from image_tools.stores.archive.opening import (
    Look,
    Standing,
    add_to_archive,
    look,
    new_archive,
    read_archive,
)

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


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("saved-images.tar.gz", Form.GZIP),
        ("x.TGZ", Form.GZIP),
        ("x.tar.zst", Form.ZSTD),
        ("x.tar.zstd", Form.ZSTD),
        ("a/x.tar", Form.TAR),
        ("tar", None),
        ("saved-image-cache", None),
    ],
)
def test_form_is_named_by_the_ending(name: str, form: Form | None) -> None:
    assert form_named(Path(name)) is form


@pytest.mark.parametrize("form", [form for form in Form if form is not Form.FOLDER])
def test_default_names_stand_for_their_forms(form: Form) -> None:
    assert form_named(Path(form.default_name)) is form


@pytest.mark.parametrize("form", Form)
def test_archive_is_recognised_whatever_its_name(tmp_path: Path, form: Form) -> None:
    path = save(tmp_path / "images.zip", form)

    assert look(path) == Look(Standing.ARCHIVE, form)
    for opened in (read_archive, add_to_archive):
        archive = opened(path)
        assert (archive.images, archive.name) == ((NGINX,), str(path))
        archive.close()


def _tar(path: Path) -> None:
    with tarfile.open(path / "x", "w:gz"):
        pass


OTHERS: dict[str, tuple[Callable[[Path], object], Standing]] = {
    "nothing": (lambda path: None, Standing.NOTHING),
    "empty file": (lambda path: (path / "x").touch(), Standing.OTHER),
    "text": (lambda path: (path / "x").write_text("dear diary"), Standing.OTHER),
    "foreign tar": (_tar, Standing.OTHER),
    "folder": (lambda path: (path / "x/y").mkdir(parents=True), Standing.OTHER_FOLDER),
    "cut": (lambda path: _cut(save(path / "x", Form.GZIP)), Standing.OTHER),
}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_archive_is_neither_read_nor_added_to(tmp_path: Path, kind: str) -> None:
    make, standing = OTHERS[kind]
    make(tmp_path)
    path = tmp_path / "x"

    assert look(path).standing is standing
    with pytest.raises((UsageError, ArchiveDamaged), match=str(path)):
        read_archive(path)
    with pytest.raises(UsageError, match=str(path)):
        add_to_archive(path)


@pytest.mark.parametrize("form", Form)
def test_archive_that_was_not_finished_is_not_read(tmp_path: Path, form: Form) -> None:
    path = save(tmp_path / "x", form, publish=False)

    with pytest.raises((UsageError, ArchiveDamaged)) as caught:
        read_archive(path)
    assert "again" in caught.value.advice
    assert save(path, form) == path
    read_archive(path).close()


@pytest.mark.parametrize("form", Form)
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


@pytest.mark.parametrize("form", Form)
def test_new_archive_without_images_replaces_nothing(tmp_path: Path, form: Form) -> None:
    path = save(tmp_path / "x", form)
    archive = new_archive(path, form)
    archive.publish()
    archive.close()
    archive = read_archive(path)
    assert archive.images == (NGINX,)
    archive.close()
    assert [found.name for found in tmp_path.iterdir()] == ["x"]


def test_nothing_holds_nothing() -> None:
    archive = Archive(Nothing("images"))

    assert (archive.images, archive.referrers(EMPTY_INDEX.digest)) == ((), ())
    assert [*archive.content.digests()] == []
    archive.publish()
    archive.close()
