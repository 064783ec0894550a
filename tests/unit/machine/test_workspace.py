"""The private folder of a run: who may look in, and that it goes away."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from pathlib import Path

import pytest

from image_tools.errors import EnvironmentProblem
from image_tools.machine.workspace import Workspace


def create(base: Path) -> Workspace:
    return Workspace.create({"TMPDIR": str(base)})


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def killed(base: Path) -> Path:
    """The folder of a run that had no time to tidy up."""
    workspace = create(base)
    workspace.write_private("auth.json", b"secret")
    os.close(workspace._owner)
    return workspace.path


def test_workspace_is_private_and_gone_after_its_context(tmp_path: Path) -> None:
    with create(tmp_path) as workspace:
        assert workspace.path.parent == tmp_path
        assert (mode(workspace.path), workspace.path.name[:12]) == (0o700, "image-tools-")
        assert [path.name for path in workspace.path.iterdir()] == ["owner"]
        (workspace.path / "docker").mkdir()
        workspace.write_private("docker/config.json", b"{}")

    assert [*tmp_path.iterdir()] == []


def test_workspace_in_a_relative_folder_has_an_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with create(Path()) as workspace:
        assert workspace.path.parent == tmp_path


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_file_written_twice_holds_the_second_content_and_is_private(
    tmp_path: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        with create(tmp_path) as workspace:
            workspace.write_private("auth.json", b"a longer first content")
            path = workspace.write_private("auth.json", b"second")

            assert (path, path.read_bytes()) == (workspace.path / "auth.json", b"second")
            assert (mode(path), mode(workspace.path)) == (0o600, 0o700)
            assert {one.name for one in workspace.path.iterdir()} == {"owner", "auth.json"}
    finally:
        os.umask(before)


def test_file_written_over_a_link_replaces_the_link(tmp_path: Path) -> None:
    (victim := tmp_path / "victim").write_bytes(b"untouched")

    with create(tmp_path) as workspace:
        (workspace.path / "auth.json").symlink_to(victim)
        path = workspace.write_private("auth.json", b"secret")

        assert (path.is_symlink(), path.read_bytes()) == (False, b"secret")
    assert victim.read_bytes() == b"untouched"


def test_folder_of_a_killed_run_is_swept_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    dead = killed(tmp_path)

    with create(tmp_path) as living, create(tmp_path) as second:
        assert not dead.exists()
        assert {path.name for path in tmp_path.iterdir()} == {living.path.name, second.path.name}


def test_folders_that_are_no_dead_run_of_ours_are_left_alone(tmp_path: Path) -> None:
    real, base = killed(tmp_path), tmp_path / "base"
    base.mkdir()
    (base / "image-tools-link").symlink_to(real)
    (base / "image-tools-empty").mkdir()
    (base / "image-tools-file").touch()
    (odd := base / "image-tools-odd").mkdir()
    (odd / "owner").symlink_to(real / "owner")
    before = {path.name for path in base.iterdir()}

    create(base).close()

    assert {path.name for path in base.iterdir()} == before
    assert (real / "auth.json").exists()


def test_folder_of_another_user_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = killed(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: theirs.stat().st_uid + 1)

    create(tmp_path).close()

    assert [*tmp_path.iterdir()] == [theirs]


def test_sweep_before_a_new_folder_is_locked_does_not_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock
    swept: list[bool] = []

    def sweeping(descriptor: int, operation: int) -> None:
        if not swept:
            swept.append(True)
            create(tmp_path).close()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", sweeping)

    with create(tmp_path) as workspace:
        assert ([*workspace.path.iterdir()], swept) == ([workspace.path / "owner"], [True])


def test_workspace_without_a_folder_for_it_is_a_problem_of_the_machine(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="No such file or directory") as raised:
        create(tmp_path / "missing")

    assert "TMPDIR" in raised.value.advice


@pytest.mark.parametrize(("place", "name"), [(Path, "rename"), (os, "open"), (os, "fdopen")])
def test_workspace_on_a_full_disk_is_a_problem_of_the_machine_and_leaves_nothing(
    tmp_path: Path, place: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_words: object, **_named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def work() -> None:
        with monkeypatch.context() as broken:
            if name == "rename":
                broken.setattr(place, name, full)
            workspace = create(tmp_path)
            broken.setattr(place, name, full)
            try:
                workspace.write_private("auth.json", b"secret")
            finally:
                broken.undo()
                workspace.close()

    with pytest.raises(EnvironmentProblem, match="No space left on device") as raised:
        work()

    assert "TMPDIR" in raised.value.advice
    assert [*tmp_path.iterdir()] == []


def test_workspace_already_gone_closes_quietly(tmp_path: Path) -> None:
    workspace = create(tmp_path)
    shutil.rmtree(workspace.path)

    workspace.close()
    workspace.close()

    assert not workspace.path.exists()
