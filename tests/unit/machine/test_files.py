"""Durable files: whole or not at all, with the mode that was asked for, never world-readable."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from image_tools.errors import CopyFailed, DiskFull
from image_tools.machine import files
from image_tools.machine.files import (
    PRIVATE,
    disk_errors,
    mib,
    open_file,
    replace_file,
    sync_folder,
    write_all,
    write_at,
    write_file,
)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("write", [write_file, replace_file])
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_file_is_replaced_with_its_content_and_mode(
    tmp_path: Path, write: Callable[..., None], mode: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)

    write(path, b"new", mode=mode)

    assert (path.read_bytes(), mode_of(path), [*tmp_path.iterdir()]) == (b"new", mode, [path])


@pytest.mark.parametrize("temporary", [None, "other"])
def test_private_file_is_never_readable_by_others(
    tmp_path: Path, temporary: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set[int]()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        seen.update(mode_of(path) for path in tmp_path.iterdir())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)

    name = None if temporary is None else tmp_path / temporary
    replace_file(tmp_path / "file", b"secret", mode=PRIVATE, temporary=name)

    assert seen == {0o600}


@pytest.mark.parametrize("broken", ["fsync", "fdopen", "fchmod"])
def test_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(*_words: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, broken, full)
        with pytest.raises(OSError, match="No space left"):
            replace_file(path, b"new")

    assert (path.read_bytes(), [*tmp_path.iterdir()]) == (b"old", [path])


def test_file_is_written_through_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)

    write_file(link, b"new")

    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_device_is_written_and_not_replaced() -> None:
    write_file(Path(os.devnull), b"new")

    assert files.is_device(Path(os.devnull))


def test_temporary_name_of_a_killed_run_is_taken_over(tmp_path: Path) -> None:
    path, temporary = tmp_path / "file", tmp_path / "file.new"
    victim = tmp_path / "victim"
    victim.write_bytes(b"victim")
    temporary.symlink_to(victim)

    replace_file(path, b"new", temporary=temporary)

    assert (path.read_bytes(), victim.read_bytes(), path.is_symlink()) == (b"new", b"victim", False)


def test_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        os.close(open_file(tmp_path / "file", os.O_RDWR | os.O_CREAT))
    finally:
        os.umask(before)

    assert mode_of(tmp_path / "file") == 0o640


def test_folder_that_cannot_be_flushed_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_words: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "fsync", refuse)
    sync_folder(tmp_path)
    monkeypatch.setattr(os, "open", refuse)
    sync_folder(tmp_path)


def test_flush_without_fdatasync_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.delattr(os, "fdatasync", raising=False)
    monkeypatch.setattr(os, "fsync", flushed.append)

    files.flush(7)

    assert flushed == [7]


def test_writes_that_come_up_short_are_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, pwritev, pwrite = os.write, os.pwritev, os.pwrite
    monkeypatch.setattr(os, "write", lambda to, data: write(to, data[:2]))
    monkeypatch.setattr(os, "pwritev", lambda to, pieces, at: pwritev(to, [pieces[0][:1]], at))
    monkeypatch.setattr(os, "pwrite", lambda to, data, at: pwrite(to, data[:1], at))
    path = tmp_path / "file"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        write_all(descriptor, b"abcde")
        end = write_at(descriptor, [b"fgh", b"ij"], 5)
    finally:
        os.close(descriptor)

    assert (path.read_bytes(), end) == (b"abcdefghij", 10)


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (errno.ENOSPC, DiskFull, r"no room for .*file: 2\.0 MiB more are needed, .* MiB are free"),
        (errno.EDQUOT, DiskFull, "no room for .*file"),
        (errno.EIO, CopyFailed, "file cannot be written: said"),
    ],
)
def test_what_the_disk_refuses_is_said(
    tmp_path: Path, number: int, kind: type[CopyFailed], said: str
) -> None:
    error = OSError(number, "said")
    with pytest.raises(kind, match=said), disk_errors(str(tmp_path / "file"), 2 << 20):
        raise error


def test_size_is_shown_in_mib() -> None:
    assert [mib(0), mib(1 << 20), mib(1234 << 20)] == ["0.0 MiB", "1.0 MiB", "1,234.0 MiB"]
