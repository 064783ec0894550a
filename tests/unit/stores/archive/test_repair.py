"""What is damaged is as if it were not there, and comes back to the place where it was."""

from __future__ import annotations

import io
import os
import random
from contextlib import closing
from pathlib import Path

import pytest

from image_tools.errors import ArchiveDamaged, NotFound
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import FILE_FORMS, Content, Form
from image_tools.stores.archive.file.archive_file import FileContent
from image_tools.stores.archive.file.framing import Compressed
from image_tools.stores.archive.folder import FolderContent
from image_tools.stores.archive.repair import RepairingContent, damage
from image_tools.stores.archive.verify import verify
from image_tools.stores.archive.volumes.volumes import VolumesContent
from tests.helpers.archive_files import INDEX, add, blobs_of, by_digest

PART = 70_000
SMALL, TEXT = random.Random(1).randbytes(30_000), b"much text " * 900
BIG = random.Random(2).randbytes(150_000)
KINDS = (*(form.value for form in Form), "volumes")


def create(path: Path, kind: str) -> Content:
    if kind == "dir":
        return FolderContent(path, name=str(path), writing=True)
    if kind == "volumes":
        return VolumesContent.create(path, Form.GZIP, PART)
    return FileContent.create(path, Form(kind))


def adding(path: Path, kind: str) -> Content:
    if kind == "dir":
        return FolderContent(path, name=str(path), writing=True)
    return (VolumesContent if kind == "volumes" else FileContent).adding(path)


def made(path: Path, kind: str) -> dict[Path, bytes]:
    with closing(create(path, kind)) as content:
        add(content, SMALL)
        add(content, TEXT, compressible=True)
        add(content, BIG)
        content.publish(INDEX)
    return files(path)


def files(path: Path) -> dict[Path, bytes]:
    return {found: found.read_bytes() for found in path.parent.rglob("*") if found.is_file()}


def spoil(path: Path, kind: str, blob: bytes) -> None:
    """Change one byte amid a blob."""
    where = path / "blobs/sha256" / Digest.of(blob).hex
    with closing(adding(path, kind)) as content:
        if isinstance(content, VolumesContent):
            parts = content.files
        else:
            parts = (content,) if isinstance(content, FileContent) else ()
        for part in parts:
            for entry in part.body():
                if Digest.of(blob) in (entry.digest, entry.piece and entry.piece.blob):
                    flip(part.path, entry.offset + entry.length // 2)
                    return
    flip(where, 100)


def flip(path: Path, at: int) -> None:
    descriptor = os.open(path, os.O_RDWR)
    os.pwrite(descriptor, bytes([os.pread(descriptor, 1, at)[0] ^ 1]), at)
    os.close(descriptor)


@pytest.mark.parametrize("blob", [SMALL, TEXT, BIG], ids=["small", "text", "big"])
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_blob_is_absent_until_it_comes_again(
    tmp_path: Path, kind: str, blob: bytes
) -> None:
    path, digest = tmp_path / "x", Digest.of(blob)
    before = made(path, kind)
    spoil(path, kind, blob)

    with closing(adding(path, kind)) as inner:
        content = RepairingContent(inner, damage(inner))
        assert set(content.damaged) == {digest}
        assert content.size(digest) is None
        assert digest not in dict(content.digests())
        with pytest.raises(NotFound):
            content.open(digest)
        content.begin(5, compressible=False).drop()
        add(content, SMALL if blob is not SMALL else TEXT)
        add(content, blob)
        assert content.fetched == {digest: len(blob)}
        assert blobs_of(content) == by_digest(SMALL, TEXT, BIG)
        content.publish(INDEX)
    assert files(path) == before


@pytest.mark.parametrize("form", FILE_FORMS)
def test_damaged_mark_of_the_layout_is_written_again_at_once(tmp_path: Path, form: Form) -> None:
    before = made(tmp_path / "x", form.value)
    flip(tmp_path / "x", 520)

    with closing(FileContent.adding(tmp_path / "x")) as content:
        assert damage(content) == {}
    assert files(tmp_path / "x") == before


def test_blob_new_to_a_damaged_archive_is_added(tmp_path: Path) -> None:
    made(tmp_path / "x", Form.GZIP.value)
    spoil(tmp_path / "x", Form.GZIP.value, SMALL)

    with closing(FileContent.adding(tmp_path / "x")) as inner:
        content = RepairingContent(inner, damage(inner))
        add(content, b"new")
        content.note("tagged")
        content.publish(INDEX + b" ")
        assert content.fetched == {Digest.of(b"new"): 3}
    with closing(FileContent.reading(tmp_path / "x")) as found:
        assert {d for d, said in verify(found) if said} == {Digest.of(SMALL)}


def test_blob_that_is_compressed_otherwise_now_is_not_mended(tmp_path: Path) -> None:
    class Longer(Compressed):
        def end(self) -> bytes:
            return super().end() + b"."

    made(tmp_path / "x", Form.GZIP.value)
    spoil(tmp_path / "x", Form.GZIP.value, TEXT)
    spoiled = files(tmp_path / "x")

    with closing(FileContent.adding(tmp_path / "x")) as inner:
        (entry,) = damage(inner)[Digest.of(TEXT)]
        with pytest.raises(ArchiveDamaged, match="cannot be mended"):
            entry.mend(io.BytesIO(TEXT), Longer)
    assert files(tmp_path / "x") == spoiled
