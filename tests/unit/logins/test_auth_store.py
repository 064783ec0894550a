from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from image_tools.errors import EnvironmentProblem
from image_tools.logins.auth_store import auth_files, forget_logins, keep_login, login_file
from image_tools.logins.credentials import Credentials

LOGIN = Credentials("me", "secret")
ENTRY = {"auth": "bWU6c2VjcmV0"}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({}, ".docker/config.json"),
        ({"DOCKER_CONFIG": "{}/docker"}, "docker/config.json"),
        ({"REGISTRY_AUTH_FILE": "{}/own/auth.json"}, "own/auth.json"),
    ],
)
def test_login_file_is_dockers_or_the_one_named(
    tmp_path: Path, environ: dict[str, str], more: dict[str, str], place: str
) -> None:
    environ |= {name: value.format(tmp_path) for name, value in more.items()}
    path = tmp_path / place

    assert login_file(environ) == path
    assert keep_login("r.example", LOGIN, environ) == (str(path),)
    assert json.loads(path.read_text()) == {"auths": {"r.example": ENTRY}}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    assert forget_logins("r.example", environ) == (("r.example", str(path)),)
    assert json.loads(path.read_text()) == {"auths": {}}


def test_login_behind_a_link_stays_behind_it(tmp_path: Path, environ: dict[str, str]) -> None:
    real, link = tmp_path / "dotfiles/config.json", tmp_path / ".docker/config.json"
    for path in (real, link):
        path.parent.mkdir()
    real.write_text("{}")
    link.symlink_to(real)
    keep_login("r.example", LOGIN, environ)

    assert link.is_symlink()
    assert json.loads(real.read_text()) == {"auths": {"r.example": ENTRY}}


@pytest.mark.parametrize("content", ["{", "[]"])
def test_login_file_damaged_is_named_and_left(
    tmp_path: Path, environ: dict[str, str], content: str
) -> None:
    path = tmp_path / ".docker/config.json"
    path.parent.mkdir()
    path.write_text(content)

    for change in (lambda: keep_login("r", LOGIN, environ), lambda: forget_logins(None, environ)):
        with pytest.raises(EnvironmentProblem, match="damaged") as problem:
            change()
        assert str(path) in problem.value.message
    assert path.read_text() == content


def test_login_that_cannot_be_written_says_where(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / ".docker").write_text("a file where a folder should be")

    with pytest.raises(EnvironmentProblem, match=r"config\.json: cannot be written"):
        keep_login("r.example", LOGIN, environ)


def test_forget_logins_where_there_are_none_writes_nothing(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    assert forget_logins(None, environ) == ()
    assert [*tmp_path.iterdir()] == []


def test_auth_files_variables_move_them() -> None:
    moved = {"HOME": "/h", "XDG_RUNTIME_DIR": "/r", "XDG_CONFIG_HOME": "/c", "DOCKER_CONFIG": "/d"}
    places = ("/r/containers/auth.json", "/c/containers/auth.json", "/d/config.json")

    assert tuple(map(str, auth_files(moved))) == places
    assert str(next(auth_files({"HOME": "/h"}))) == f"/run/containers/{os.getuid()}/auth.json"
    assert tuple(auth_files({**moved, "REGISTRY_AUTH_FILE": "/x"})) == (Path("/x"),)
