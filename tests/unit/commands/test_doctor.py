"""What `doctor` finds at registries; the checks of the machine are in test_check_machine."""

from __future__ import annotations

import time
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from image_tools.commands import doctor as module
from image_tools.commands.check_machine import Check, CheckResult, Machine, good, wrong
from image_tools.commands.doctor import DoctorRequest, doctor, known_registries
from image_tools.errors import CopyFailed, TlsProblem, Unauthorized
from image_tools.logins.auth_file import Credentials
from tests.helpers.memory_opening import MemoryOpening

REGISTRY = "r.example"
BARE = Machine(plugin_folders=())
CURL = "curl -v https://r.example/v2/"


class Visited:
    """A registry with one answer to its greeting and one to its login."""

    name = REGISTRY

    def __init__(
        self, greeting: Any = None, login: Any = None, demands_login: bool = False
    ) -> None:
        self.admission, self.demands_login = self, demands_login
        self._greeting, self._login = greeting, login

    async def greeting(self) -> Any:
        if isinstance(self._greeting, Exception):
            raise self._greeting
        return SimpleNamespace(headers={"Date": self._greeting or ""})

    async def is_plain(self) -> bool:
        return False

    async def login(self) -> Any:
        if isinstance(self._login, Exception):
            raise self._login
        return self._login


def checks(registry: Visited, home: Path) -> list[Check]:
    """Return the checks behind those of the machine."""
    environ = {"HOME": str(home), "PATH": "", "TMPDIR": str(home), "XDG_RUNTIME_DIR": str(home)}
    request = DoctorRequest(registries=(REGISTRY,), state=home / "state/state.db")
    found = doctor(request, cast(Any, MemoryOpening(registry)), environ, BARE)
    names = (f"registry {REGISTRY}", f"login {REGISTRY}", "clock")
    return [check for check in found.checks if check.name in names]


REACHED = good("registry r.example", "reached over TLS")
LOGIN = "image-tools login r.example"
ROWS: dict[str, tuple[Visited, list[Check]]] = {
    "no login": (
        Visited(),
        [
            REACHED,
            Check(
                name="login r.example",
                verdict=CheckResult.NOTE,
                finding="none: read as anybody may",
            ),
        ],
    ),
    "login": (Visited(login=Credentials("me")), [REACHED, good("login r.example", "let in as me")]),
    "login demanded": (
        Visited(demands_login=True),
        [
            REACHED,
            wrong("login r.example", "none, and the registry lets nobody in without one", LOGIN),
        ],
    ),
    "login refused": (
        Visited(login=Unauthorized("refused")),
        [REACHED, wrong("login r.example", "refused", LOGIN)],
    ),
    "unreachable": (
        Visited(CopyFailed("no route")),
        [wrong("registry r.example", "no route", CURL)],
    ),
    "certificate": (
        Visited(TlsProblem("expired", advice="ask them")),
        [wrong("registry r.example", "expired", "ask them")],
    ),
    "clock": (
        Visited(formatdate(time.time() - 900, usegmt=True), Credentials("me")),
        [
            REACHED,
            good("login r.example", "let in as me"),
            wrong("clock", "{} s ahead of the registries", "sudo timedatectl set-ntp true"),
        ],
    ),
}


@pytest.mark.parametrize(("registry", "expected"), ROWS.values(), ids=ROWS)
def test_registry_is_visited(tmp_path: Path, registry: Visited, expected: list[Check]) -> None:
    found = checks(registry, tmp_path)

    assert [one.name for one in found] == [one.name for one in expected]
    assert [one.verdict for one in found] == [one.verdict for one in expected]
    assert [one.remedy for one in found] == [one.remedy for one in expected]
    assert all(
        one.finding.endswith(other.finding.removeprefix("{}"))
        for one, other in zip(found, expected, strict=True)
    )


def test_known_registries_are_those_of_files_that_can_be_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / ".docker/config.json"
    path.parent.mkdir()
    path.write_text('{"auths": {"r.example": {"auth": "eDp5"}}}')
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    assert known_registries(environ) == ("r.example",)
    path.write_text("{")
    assert known_registries(environ) == ()


@pytest.mark.parametrize(
    ("differences", "finding"),
    [
        ([], []),
        ([None], []),
        ([3.0, 900.0], ["agrees with the registries"]),
        ([400.0, 900.0, None], ["400 s behind the registries"]),
        ([-400.0], ["400 s ahead of the registries"]),
    ],
)
def test_clock_is_compared_with_the_nearest_registry(
    differences: list[float | None], finding: list[str]
) -> None:
    assert [check.finding for check in module._clock(differences)] == finding


def test_date_of_a_registry_tells_how_far_it_is_ahead() -> None:
    ahead = module._ahead(formatdate(time.time() + 600, usegmt=True))

    assert ahead is not None
    assert 590 < ahead < 605
    assert [module._ahead(text) for text in ("", "yesterday")] == [None, None]


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        (
            "r: the certificate of r is signed by an unknown authority (x)",
            "install -D -m 644 YOUR-CA.pem ~/.config/containers/certs.d/r/ca.crt",
        ),
        ("r: the certificate of r has expired", "ask them"),
    ],
)
def test_trust_is_mended_where_it_can_be(said: str, remedy: str) -> None:
    assert module._trust("r", TlsProblem(said, advice="ask them")) == remedy
