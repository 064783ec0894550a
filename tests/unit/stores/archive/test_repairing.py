"""What is damaged is as if it were not there, and comes back to the place where it was."""

from __future__ import annotations

import os
import random
from contextlib import closing
from pathlib import Path

import pytest

from image_tools.errors import ArchiveDamaged, NotFound
from image_tools.oci.digest import Digest
from image_tools.stores.archive import repairing
from image_tools.stores.archive.content import Content
from image_tools.stores.archive.file import writing
from image_tools.stores.archive.file.framed import FramedContent
from image_tools.stores.archive.file.framing import Packing
from image_tools.stores.archive.folder import FolderContent
from image_tools.stores.archive.repairing import RepairingContent, damage
from image_tools.stores.archive.verifying import verify
from image_tools.stores.archive.volumes.volumes import VolumesContent
from tests.helpers.archive_files import INDEX, add, blobs_of, by_digest

PART = 70_000
SMALL, TEXT = random.Random(1).randbytes(30_000), b"much text " * 900
BIG = random.Random(2).randbytes(150_000)
KINDS = ("dir", *(form.value for form in Packing), "volumes")


def create(path: Path, kind: str) -> Content:
    if kind == "dir":
        return FolderContent(path, name=str(path), writing=True)
    if kind == "volumes":
        return VolumesContent.create(path, Packing.GZIP, PART)
    return FramedContent.create(path, Packing(kind))


def adding(path: Path, kind: str) -> Content:
    if kind == "dir":
        return FolderContent(path, name=str(path), writing=True)
    return (VolumesContent if kind == "volumes" else FramedContent).adding(path)


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
            parts = content.parts
        else:
            parts = (content,) if isinstance(content, FramedContent) else ()
        for part in parts:
            for entry in part.files():
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


@pytest.mark.parametrize("form", Packing)
def test_damaged_mark_of_the_layout_is_written_again_at_once(tmp_path: Path, form: Packing) -> None:
    before = made(tmp_path / "x", form.value)
    flip(tmp_path / "x", 520)

    with closing(FramedContent.adding(tmp_path / "x")) as content:
        assert damage(content) == {}
    assert files(tmp_path / "x") == before


def test_blob_new_to_a_damaged_archive_is_added(tmp_path: Path) -> None:
    made(tmp_path / "x", Packing.GZIP.value)
    spoil(tmp_path / "x", Packing.GZIP.value, SMALL)

    with closing(FramedContent.adding(tmp_path / "x")) as inner:
        content = RepairingContent(inner, damage(inner))
        add(content, b"new")
        content.note("tagged")
        content.publish(INDEX + b" ")
        assert content.fetched == {Digest.of(b"new"): 3}
    with closing(FramedContent.reading(tmp_path / "x")) as found:
        assert {d for d, said in verify(found) if said} == {Digest.of(SMALL)}


def test_blob_that_is_compressed_otherwise_now_is_not_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Longer(repairing.Compressed):
        def end(self) -> bytes:
            return super().end() + b"."

    made(tmp_path / "x", Packing.GZIP.value)
    spoil(tmp_path / "x", Packing.GZIP.value, TEXT)
    spoiled = files(tmp_path / "x")
    monkeypatch.setattr(repairing, "Compressed", Longer)

    with closing(FramedContent.adding(tmp_path / "x")) as inner:
        content = RepairingContent(inner, damage(inner))
        with pytest.raises(ArchiveDamaged, match="cannot be mended"):
            add(content, TEXT)
    assert files(tmp_path / "x") == spoiled


def test_flush_without_fdatasync_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    monkeypatch.delattr(os, "fdatasync", raising=False)
    monkeypatch.setattr(os, "fsync", flushed.append)

    writing.flush(7)
    made(tmp_path / "x", Packing.GZIP.value)
    assert flushed[0] == 7
    assert len(flushed) > 3
