"""Archives in volumes: killed at each step of their writing, and unpacked by tar."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from image_tools.errors import ArchiveDamaged
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import Form
from image_tools.stores.archive.file.archive_file import FileContent
from image_tools.stores.archive.verify import verify
from image_tools.stores.archive.volumes.set import has_volumes
from image_tools.stores.archive.volumes.volumes import VolumesContent
from tests.helpers.archive_files import INDEX, Killed, add, blobs_of, by_digest, killed_at

PART = 100_000
NEW_INDEX = INDEX.replace(b"[]", b"[ ]")


def noise(number: int, size: int) -> bytes:
    return random.Random(number).randbytes(size)


def made(path: Path, form: Form, *blobs: bytes) -> Path:
    with closing(VolumesContent.create(path, form, PART)) as content:
        for blob in blobs:
            add(content, blob)
        content.publish(INDEX)
    return path


def read(path: Path) -> tuple[bytes, dict[Digest, bytes]]:
    with closing(VolumesContent.reading(path)) as content:
        assert {problem for _, problem in verify(content)} == {None}
        return content.index(), blobs_of(content)


def parts(path: Path) -> list[Path]:
    return sorted(path.parent.iterdir())


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("how", ["create", "adding"])
def test_volumes_killed_at_any_step_go_on(tmp_path: Path, how: str, stride: int) -> None:
    form, old = Form.GZIP, (b"old", noise(50, 60_000))
    new = (noise(51, 60_000), b"text " * 900, noise(52, 150_000), noise(53, 60_000))
    steps = 0

    def opened(path: Path) -> VolumesContent:
        create = how == "create"
        return VolumesContent.create(path, form, PART) if create else VolumesContent.adding(path)

    while True:
        path, finished = tmp_path / f"{steps}" / "a", set[Digest]()
        path.parent.mkdir()
        if how == "adding":
            made(path, form, *old)
        with killed_at(steps) as was_killed, suppress(Killed):
            begin_and_publish(opened, path, new, finished)
        if not was_killed():
            break
        steps += stride

        if how == "adding":
            index, blobs = read(path)
            assert index in {INDEX, NEW_INDEX}
            assert by_digest(*old).items() <= blobs.items()
        committed = has_volumes(path) and is_whole(path)
        with closing(opened(path)) as content:
            assert finished <= set(blobs_of(content)) or committed
            for blob in new:
                add(content, blob)
            content.publish(NEW_INDEX)
        expected = by_digest(*new, *(old if how == "adding" else ()))
        assert read(path) == (NEW_INDEX, expected)
        assert [name.name for name in parts(path) if ".part" not in name.name] == []
        assert [name for name in parts(path) if name.suffix in {".journal", ".partial"}] == []
    assert steps > 50


def is_whole(path: Path) -> bool:
    with suppress(ArchiveDamaged):
        return read(path)[0] == NEW_INDEX
    return False


def begin_and_publish(
    opened: Callable[[Path], VolumesContent],
    path: Path,
    new: tuple[bytes, ...],
    finished: set[Digest],
) -> None:
    """Add blobs and publish; when killed, nothing is tidied but the locks are gone."""
    content = opened(path)
    held = list[FileContent]()
    try:
        for number, blob in enumerate(new):
            finished.add(add(content, blob, compressible=number == 1))
            held = [*content.files]
        content.note("tagged")
        content.publish(NEW_INDEX)
    finally:
        for volume in {*held, *content.files}:
            with suppress(OSError):
                os.close(volume.source.descriptor)
        with suppress(OSError):
            os.close(content._locked)


def test_volumes_unpacked_by_tar_in_one_folder_hold_every_byte(tmp_path: Path) -> None:
    big, small = noise(1, 250_000), noise(2, 30_000)
    folder, path = tmp_path / "unpacked", tmp_path / "archive" / "a"
    folder.mkdir()
    path.parent.mkdir()
    made(path, Form.GZIP, big, small)

    for name in parts(path):
        subprocess.run(["tar", "xzf", name, "-C", folder], check=True)

    blobs = folder / "blobs" / "sha256"
    pieces = sorted(blobs.glob(f"{Digest.of(big).hex}.*"))
    assert b"".join(piece.read_bytes() for piece in pieces) == big
    assert (blobs / Digest.of(small).hex).read_bytes() == small
    assert (folder / "index.json").read_bytes() == INDEX
