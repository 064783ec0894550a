"""Logins: tried at a registry, stored, and removed again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from image_tools.commands.login import LoggedIn, LoggedOut, log_in, log_out, speaks_plain
from image_tools.errors import Unauthorized
from image_tools.logins.auth_file import Credentials
from tests.helpers.memory_opening import MemoryOpening

REGISTRY = "reg.example"


class Asked:
    """A registry that lets `login` in, or says why not."""

    name = REGISTRY

    def __init__(self, login: Credentials | Unauthorized) -> None:
        self.admission = self
        self._login = login

    async def login(self) -> Credentials:
        if isinstance(self._login, Unauthorized):
            raise self._login
        return self._login

    async def is_plain(self) -> bool:
        return True


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}


def opening(login: Credentials | Unauthorized) -> Any:
    return cast(Any, MemoryOpening(Asked(login)))


def test_login_that_is_accepted_is_stored_and_can_be_removed(environ: dict[str, str]) -> None:
    path = environ["REGISTRY_AUTH_FILE"]
    found = log_in(REGISTRY, opening(Credentials("me", "secret")), environ)

    assert found == LoggedIn(REGISTRY, "me", (path,))
    assert list(json.loads(Path(path).read_text())["auths"]) == [REGISTRY]
    assert log_out(REGISTRY, environ) == LoggedOut(((REGISTRY, path),))
    assert log_out(None, environ) == LoggedOut(())


@pytest.mark.parametrize(
    ("own", "advice"),
    [
        ("", "check the user name and the password: nothing was stored"),
        ("use a token", "use a token"),
    ],
)
def test_login_that_is_refused_is_not_stored(
    environ: dict[str, str], own: str, advice: str
) -> None:
    refusal = Unauthorized("reg.example: refused", advice=own)
    with pytest.raises(Unauthorized) as caught:
        log_in(REGISTRY, opening(refusal), environ)

    assert caught.value.advice == advice
    assert not Path(environ["REGISTRY_AUTH_FILE"]).exists()


def test_plain_registry_is_told_from_one_with_tls() -> None:
    assert speaks_plain(REGISTRY, opening(Credentials("me")))
