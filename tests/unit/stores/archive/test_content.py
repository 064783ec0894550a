"""The forms of archives, and what is common to their contents."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_tools.errors import DiskFull
from image_tools.oci.digest import Digest
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.content import (
    EmptyContent,
    Form,
    HasVolumes,
    RemovesBlobs,
    ReportingBlobWriter,
    ReportsDamage,
    add_blob,
    form_named,
)
from image_tools.stores.archive.file.archive_file import FileContent
from image_tools.stores.archive.folder import FolderContent
from image_tools.stores.archive.repair import RepairingContent
from image_tools.stores.archive.volumes.volumes import VolumesContent

BLOB, DIGEST = b"content", Digest.of(b"content")


class Recorder(EmptyContent):
    """A content and a writer that note what is done with them."""

    def __init__(self, *, known: bool = False, room: int = 100) -> None:
        super().__init__("recorder")
        self.known, self.room, self.done = known, room, list[str]()

    def size(self, _digest: Digest) -> int | None:
        return len(BLOB) if self.known else None

    def begin(self, size: int | None, *, compressible: bool) -> Recorder:  # type: ignore[override]
        self.done.append(f"begin {size} {compressible}")
        return self

    def write(self, data: bytes) -> None:
        self.room -= len(data)
        if self.room < 0:
            raise DiskFull("full")

    def finish(self, digest: Digest) -> None:
        self.done.append(f"finish {digest}")

    def drop(self) -> None:
        self.done.append("drop")


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


def test_empty_content_holds_nothing() -> None:
    archive = Archive(EmptyContent("images"))

    assert (archive.images, archive.referrers(Digest.of(b""))) == ((), ())
    assert [*archive.content.digests()] == []
    archive.publish()
    archive.close()


def test_blob_is_added_in_its_chunks() -> None:
    content = Recorder()

    add_blob(content, DIGEST, len(BLOB), (BLOB[:3], BLOB[3:]), compressible=True)

    assert content.done == ["begin 7 True", f"finish {DIGEST}"]


def test_blob_that_cannot_be_written_is_dropped() -> None:
    content = Recorder(room=3)

    with pytest.raises(DiskFull):
        add_blob(content, DIGEST, len(BLOB), (BLOB[:3], BLOB[3:]), compressible=False)

    assert content.done == ["begin 7 False", "drop"]


@pytest.mark.parametrize("known", [False, True])
def test_blob_that_arrives_is_reported_unless_it_is_known(known: bool) -> None:
    content, reported = Recorder(known=known), list[tuple[Digest, int]]()
    writer = ReportingBlobWriter(content, content, lambda *words: reported.append(words))
    writer.write(BLOB[:3])
    writer.write(BLOB[3:])

    writer.finish(DIGEST)

    assert content.done == (["drop"] if known else [f"finish {DIGEST}"])
    assert reported == ([] if known else [(DIGEST, 7)])


def test_each_content_has_its_abilities(tmp_path: Path) -> None:
    contents = (
        EmptyContent("x"),
        FolderContent(tmp_path / "a", name="a", writing=True),
        FileContent.create(tmp_path / "b", Form.TAR),
        VolumesContent.create(tmp_path / "c", Form.TAR, 70_000),
        RepairingContent(EmptyContent("x"), {}),
    )
    abilities = (ReportsDamage, RemovesBlobs, HasVolumes)
    found = [[isinstance(content, ability) for ability in abilities] for content in contents]
    for content in contents:
        content.close()

    assert found == [
        [False, False, False],
        [False, True, False],
        [True, False, False],
        [True, False, True],
        [False, False, True],
    ]
