"""The keyring: which file and which helper speaks for a registry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from image_tools.errors import EnvironmentProblem, ToolMissing
from image_tools.logins.credentials import Credentials, Keyring

A, B, C = (Credentials(name, f"secret-{name}") for name in "abc")
R = "r.example"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run")}


class Helpers(dict[tuple[str, str], object]):
    """The answers of helpers by name and server; `asked` are the questions."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []

    def open(self, name: str, _environ: object) -> Any:
        return SimpleNamespace(ask=partial(self._ask, name))

    def _ask(self, name: str, server: str, _cancel: object) -> object:
        self.asked.append((name, server))
        answer = self.get((name, server))
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def helpers() -> Helpers:
    return Helpers()


def write(
    path: Path, *, helper: dict[str, str] | None = None, store: str = "", **auths: object
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = {
        key.replace("_", "."): {"username": login.username, "password": login.password}
        if isinstance(login, Credentials)
        else login
        for key, login in auths.items()
    }
    document = {"auths": entries, "credHelpers": helper or {}, "credsStore": store}
    path.write_text(json.dumps(document))
    return path


def find(keyring: Keyring, registry: str = R, repository: str = "team/app") -> Credentials | None:
    return asyncio.run(keyring.find(registry, repository))


PLACES = ["run/containers/auth.json", ".config/containers/auth.json", ".docker/config.json"]


@pytest.mark.parametrize("first", range(3))
def test_find_in_several_files_first_place_wins(
    home: Path, environ: dict[str, str], first: int
) -> None:
    for place, login in list(zip(PLACES, (A, B, C)))[first:]:  # noqa: B905 - Python 3.10
        write(home / place, r_example=login)

    assert find(Keyring(environ)) == (A, B, C)[first]


def test_find_no_file_is_none(environ: dict[str, str]) -> None:
    assert find(Keyring(environ)) is None


def test_find_named_file_is_the_only_one(home: Path, environ: dict[str, str]) -> None:
    write(home / PLACES[2], other_example=B, r_example=C)
    named = write(home / "named.json", r_example=A)
    keyring = Keyring({**environ, "REGISTRY_AUTH_FILE": str(named)})

    assert (find(keyring), find(keyring, "other.example")) == (A, None)


def test_find_explicit_login_goes_before_all(home: Path, environ: dict[str, str]) -> None:
    write(home / PLACES[0], r_example=B)

    assert find(Keyring({**environ, "REGISTRY_AUTH_FILE": "/missing"}, A)) == A


def test_find_file_is_read_once(home: Path, environ: dict[str, str]) -> None:
    path = write(home / PLACES[0], r_example=A)
    keyring = Keyring(environ)

    found = find(keyring)
    path.unlink()

    assert (found, find(keyring)) == (A, A)


def _folder(path: Path) -> None:
    path.mkdir(parents=True)


def _text(text: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return make


BROKEN = {
    "json": (_text('{"auths": {"r.example": {"auth": "secret"'), "damaged"),
    "entry": (_text('{"auths": {"r.example": {"auth": "secret"}}}'), "the entry of r.example"),
    "folder": (_folder, "cannot be read"),
}


@pytest.mark.parametrize(("make", "said"), BROKEN.values(), ids=BROKEN)
def test_find_broken_file_is_named_without_its_content(
    home: Path, environ: dict[str, str], make: Callable[[Path], None], said: str
) -> None:
    make(home / PLACES[2])

    with pytest.raises(EnvironmentProblem) as caught:
        find(Keyring(environ))

    assert caught.value.message.startswith(f"{home / PLACES[2]}: {said}")
    assert "secret" not in f"{caught.value.message} {caught.value.__cause__!r}"


def test_find_named_file_missing_says_so(environ: dict[str, str]) -> None:
    with pytest.raises(EnvironmentProblem, match="REGISTRY_AUTH_FILE names it"):
        find(Keyring({**environ, "REGISTRY_AUTH_FILE": "/missing/auth.json"}))


HELPED = {
    "own-helper-before-auths": (R, {("own", R): A}, {"r_example": B}, A),
    "own-helper-knows-none": (R, {}, {"r_example": B}, B),
    "auths-before-store": ("x.example", {("store", "x.example"): A}, {"x_example": B}, B),
    "mark-of-the-store": ("x.example", {("store", "x.example"): A}, {"x_example": {}}, A),
    "store-for-the-rest": ("x.example", {("store", "x.example"): A}, {}, A),
    "own-helper-not-the-store": (R, {("store", R): A}, {}, None),
    "hub": ("docker.io", {("store", "https://index.docker.io/v1/"): A}, {}, A),
}


@pytest.mark.parametrize(("registry", "answers", "auths", "login"), HELPED.values(), ids=HELPED)
def test_find_with_helpers_asks_the_right_one(
    home: Path,
    environ: dict[str, str],
    helpers: Helpers,
    registry: str,
    answers: dict[tuple[str, str], object],
    auths: dict[str, object],
    login: Credentials | None,
) -> None:
    write(home / PLACES[2], helper={R: "own"}, store="store", **auths)
    helpers.update(answers)

    assert find(Keyring(environ, open_helper=helpers.open), registry) == login


def test_find_helper_is_asked_again_each_time(
    home: Path, environ: dict[str, str], helpers: Helpers
) -> None:
    write(home / PLACES[2], helper={R: "own"})
    keyring = Keyring(environ, open_helper=helpers.open)

    helpers["own", R] = A
    first = find(keyring)
    helpers["own", R] = B

    assert (first, find(keyring)) == (A, B)
    assert helpers.asked == [("own", R)] * 2


def test_find_helper_at_once_by_many_shares_an_answer(
    home: Path,
    environ: dict[str, str],
    helpers: Helpers,
) -> None:
    write(home / PLACES[2], helper={R: "own"})
    helpers["own", R] = A
    # Time stands still: no question is younger than the answer to the one before it.
    keyring = Keyring(environ, open_helper=helpers.open, clock=lambda: 0.0)

    assert (find(keyring), find(keyring)) == (A, A)
    assert helpers.asked == [("own", R)]


def test_find_helper_fails_its_failure_is_raised(
    home: Path, environ: dict[str, str], helpers: Helpers
) -> None:
    write(home / PLACES[2], store="desktop")
    helpers["desktop", R] = ToolMissing("docker-credential-desktop is not in PATH", advice="do")

    with pytest.raises(EnvironmentProblem) as caught:
        find(Keyring(environ, open_helper=helpers.open))

    assert (caught.value.message, caught.value.advice) == (
        "docker-credential-desktop is not in PATH",
        "do",
    )


@pytest.mark.parametrize(
    ("login", "told"),
    [
        (A, [("secret-a", "a")]),
        (Credentials("me", "p", "t"), [("p", "me"), ("t", "me")]),
        (None, []),
    ],
    ids=["password", "identity-token", "none"],
)
def test_find_tells_every_secret(
    environ: dict[str, str], login: Credentials | None, told: list[tuple[str, str]]
) -> None:
    heard: list[tuple[str, str]] = []

    find(Keyring(environ, login, on_secret=lambda *secret: heard.append(secret)))

    assert heard == told
