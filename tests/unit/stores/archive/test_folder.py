from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from image_tools.errors import AlreadyRunning, ArchiveDamaged, DiskFull, NotFound
from image_tools.oci.digest import Digest
from image_tools.stores.archive.folder import FolderContent, check_layout, is_layout

BLOB = b"layer" * 1000
DIGEST = Digest.of(BLOB)


def writing(path: Path, **more: bool) -> FolderContent:
    return FolderContent(path, name="images", writing=True, **more)


def reading(path: Path) -> FolderContent:
    return FolderContent(path, name="images", writing=False)


def add(content: FolderContent, blob: bytes = BLOB) -> Digest:
    incoming = content.begin(len(blob), compressible=False)
    incoming.write(blob[:7])
    incoming.write(blob[7:])
    incoming.finish(Digest.of(blob))
    return Digest.of(blob)


def names(path: Path) -> list[str]:
    return sorted(str(found.relative_to(path)) for found in path.rglob("*") if found.is_file())


def made(path: Path) -> Path:
    content = writing(path)
    add(content)
    content.publish(b"{}")
    content.close()
    return path


def test_folder_published_is_an_image_layout_and_nothing_else(tmp_path: Path) -> None:
    path = made(tmp_path / "images")

    assert names(path) == [f"blobs/sha256/{DIGEST.hex}", "index.json", "oci-layout"]
    assert (path / "oci-layout").read_bytes() == b'{"imageLayoutVersion":"1.0.0"}'
    assert [found.name for found in path.iterdir() if found.is_dir()] == ["blobs"]
    check_layout(path)


def test_folder_read_gives_what_was_written(tmp_path: Path) -> None:
    content = reading(made(tmp_path / "images"))

    with content.open(DIGEST) as file:
        file.seek(5)
        assert file.read() == BLOB[5:]
    assert (content.index(), content.size(DIGEST)) == (b"{}", len(BLOB))
    assert [*content.digests()] == [(DIGEST, len(BLOB))]
    assert content.size(Digest.of(b"")) is None
    with pytest.raises(NotFound, match=str(Digest.of(b""))):
        content.open(Digest.of(b""))


def test_folder_of_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "images"
    killed = writing(path)
    add(killed)
    killed.note("a tag")
    (path / ".image-tools/half.blob").write_bytes(b"half")
    killed.close()  # Only so that the lock is gone.

    content = writing(path)

    assert (is_layout(path), reading(path).index()) == (True, b"")
    with pytest.raises(ArchiveDamaged, match="no image layout"):
        check_layout(path)
    assert (content.notes(), [*content.digests()]) == (("a tag",), [(DIGEST, len(BLOB))])
    content.publish(b"{}")
    content.close()
    assert names(path) == [f"blobs/sha256/{DIGEST.hex}", "index.json", "oci-layout"]


def test_folder_into_which_nothing_came_is_not_there(tmp_path: Path) -> None:
    content = writing(tmp_path / "images")
    content.begin(None, compressible=True).drop()
    content.close()

    assert [*tmp_path.iterdir()] == []


def test_folder_is_written_by_one_at_a_time(tmp_path: Path) -> None:
    first = writing(tmp_path / "images")

    with pytest.raises(AlreadyRunning, match="another run writes"):
        writing(tmp_path / "images")
    first.close()
    writing(tmp_path / "images").close()


def test_folder_that_is_not_trusted_counts_its_sound_blobs_alone(tmp_path: Path) -> None:
    path = made(tmp_path / "images")
    content = writing(path)
    other = add(content, b"other")
    content.close()
    (path / "blobs/sha256" / other.hex).write_bytes(b"OTHER")

    content = writing(path, trusting=False)

    assert (content.size(DIGEST), content.size(other)) == (len(BLOB), None)
    assert add(content, b"other") == other
    assert content.size(other) == 5
    content.forget(other)
    assert content.size(other) is None
    content.close()


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_folder_takes_only_files_for_blobs(tmp_path: Path, kind: str) -> None:
    path = made(tmp_path / "images")
    place = path / "blobs/sha256" / DIGEST.hex
    place.unlink()
    (tmp_path / "secret").write_bytes(BLOB)
    {
        "link": lambda: place.symlink_to(tmp_path / "secret"),
        "folder": place.mkdir,
        "pipe": lambda: os.mkfifo(place),
    }[kind]()
    content = reading(path)

    assert (content.size(DIGEST), [*content.digests()]) == (None, [])
    with pytest.raises(ArchiveDamaged, match=DIGEST.hex):
        content.open(DIGEST)


@pytest.mark.parametrize("name", ["blobs", "blobs/sha256", ".image-tools"])
@pytest.mark.parametrize("writes", [False, True])
def test_folder_with_a_link_inside_is_refused(tmp_path: Path, name: str, writes: bool) -> None:
    path = made(tmp_path / "images")
    place = path / name
    if place.exists():
        place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere", target_is_directory=True)

    with pytest.raises(ArchiveDamaged, match=f"{name} is a link"):
        FolderContent(path, name="images", writing=writes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "cannot be read"),
        (b'{"imageLayoutVersion":"2.0.0"}', "version '2.0.0'"),
        (b"[" * 5000, "cannot be read"),
        (b"[]", "cannot be read"),
    ],
)
def test_layout_of_another_kind_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "oci-layout").write_bytes(content)

    with pytest.raises(ArchiveDamaged, match=message):
        check_layout(tmp_path)


def test_index_that_is_too_long_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "images")
    os.truncate(path / "index.json", 65 * 1024 * 1024)

    with pytest.raises(ArchiveDamaged, match="more than 64 MiB"):
        reading(path).index()


def test_full_disk_is_said_with_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = writing(tmp_path / "images")
    incoming = content.begin(3 << 20, compressible=False)

    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    incoming.write(b"x" * (1 << 20))
    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(DiskFull, match=r"images: 2.0 MiB more are needed, [0-9.,]+ MiB are free"):
        incoming.finish(DIGEST)
    incoming.drop()
    content.close()
    assert [*tmp_path.iterdir()] == []
