"""Getting in with a login: where it is found, who is told it, how often a wrong one is tried."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.helpers.client import push
from tests.helpers.crossing import REPOSITORY, SIDES, SMALL, Crossing
from tests.helpers.endpoint import LAB_LOGIN, Login
from tests.helpers.fault_routes import Asked
from tests.helpers.fault_types import Fault, Seen, Stage
from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.registry import Registry
from tests.helpers.running import Ran, mirror
from tests.helpers.token_server import TokenServer

WRONG = Login(LAB_LOGIN.username, "wrong-Secret+2:/@")
MANY = 30


@pytest.fixture(params=SIDES)
def basic(
    request: pytest.FixtureRequest, htpasswd_registry: Registry, registry: Registry, tmp_path: Path
) -> Crossing:
    """Give a registry with an htpasswd file, and an open one opposite."""
    crossing = Crossing(
        side=request.param, guarded=htpasswd_registry, other=registry, folder=tmp_path
    )
    crossing.push()
    return crossing


@pytest.fixture(params=SIDES)
def token(
    request: pytest.FixtureRequest,
    token_registry: Registry,
    token_server: TokenServer,
    registry: Registry,
    tmp_path: Path,
) -> Crossing:
    """Give a registry that demands tokens, and an open one opposite; no token was given yet."""
    crossing = Crossing(side=request.param, guarded=token_registry, other=registry, folder=tmp_path)
    crossing.push()
    token_server.requests.clear()
    return crossing


@pytest.fixture
def two_sources() -> Iterator[tuple[FaultRegistry, FaultRegistry]]:
    """Give two doubles that ask for a login and remember what they were shown."""
    with ExitStack() as stack:
        options = FaultOptions(login=LAB_LOGIN)
        found = [stack.enter_context(FaultRegistry(options)) for _ in range(2)]
        for double in found:
            double.load("team/app", "1.0", SMALL)
        yield found[0], found[1]


class Forgetful(FaultRegistry):
    """A double that forgets all tokens once, when the first request of a stage comes in."""

    forget_at: Stage | None = None

    def arrived(self, asked: Asked, connection: int) -> tuple[Seen, Fault | None]:
        """Note a request, before it is decided whether its token is good."""
        seen, fault = super().arrived(asked, connection)
        if seen.stage is self.forget_at:
            self.forget_at = None
            self.expire_tokens()
        return seen, fault


@dataclass(frozen=True)
class Desk:
    """Where a login may be laid down for the program to find."""

    home: Path
    registry: str
    login: Login

    @property
    def content(self) -> str:
        """Give an auth file with the login."""
        pair = f"{self.login.username}:{self.login.password}"
        return _auths({self.registry: {"auth": base64.b64encode(pair.encode()).decode()}})

    def write(self, name: str, content: str) -> Path:
        """Write a file below the home."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def helper(self) -> dict[str, str]:
        """Put docker-credential-lab into the path; it knows this registry alone."""
        answer = {"Username": self.login.username, "Secret": self.login.password}
        script = (
            "#!/bin/sh\nread -r server\n"
            f"if [ \"$1 $server\" = 'get {self.registry}' ]; then echo '{json.dumps(answer)}'\n"
            "else echo 'credentials not found in native keychain'; exit 1; fi\n"
        )
        path = self.write("bin/docker-credential-lab", script)
        path.chmod(0o755)
        return {"PATH": f"{path.parent}{os.pathsep}{os.environ['PATH']}"}


def _named_file(desk: Desk) -> dict[str, str]:
    return {"REGISTRY_AUTH_FILE": str(desk.write("elsewhere.json", desk.content))}


def _runtime_file(desk: Desk) -> dict[str, str]:
    desk.write("run/containers/auth.json", desk.content)
    return {}


def _config_file(desk: Desk) -> dict[str, str]:
    desk.write(".config/containers/auth.json", desk.content)
    return {}


def _docker_file(desk: Desk) -> dict[str, str]:
    desk.write(".docker/config.json", desk.content)
    return {}


def _own_helper(desk: Desk) -> dict[str, str]:
    desk.write(".docker/config.json", json.dumps({"credHelpers": {desk.registry: "lab"}}))
    return desk.helper()


def _store_helper(desk: Desk) -> dict[str, str]:
    content = {"auths": {desk.registry: {}}, "credsStore": "lab"}
    desk.write(".docker/config.json", json.dumps(content))
    return desk.helper()


FOUND: tuple[Callable[[Desk], dict[str, str]], ...] = (
    _named_file,
    _runtime_file,
    _config_file,
    _docker_file,
    _own_helper,
    _store_helper,
)


@pytest.mark.parametrize("place", FOUND)
def test_login_is_found_and_never_written(
    basic: Crossing, clean_environment: Path, place: Callable[[Desk], dict[str, str]]
) -> None:
    ran = basic.run("--debug", environ=place(Desk(clean_environment, basic.registry, LAB_LOGIN)))
    assert ran.statuses == ["copied"], ran.stderr
    assert basic.arrived()
    assert _spellings(LAB_LOGIN.password, basic.written(ran)) == []


def test_login_in_variables_goes_before_every_file(
    basic: Crossing, clean_environment: Path
) -> None:
    _docker_file(Desk(clean_environment, basic.registry, WRONG))
    ran = basic.run("--debug", environ=_variables(basic, LAB_LOGIN))
    assert ran.statuses == ["copied"], ran.stderr
    assert _spellings(LAB_LOGIN.password, basic.written(ran)) == []


@pytest.mark.parametrize("place", [_config_file, _own_helper])
def test_login_found_buys_a_token(
    token: Crossing,
    token_server: TokenServer,
    clean_environment: Path,
    place: Callable[[Desk], dict[str, str]],
) -> None:
    ran = token.run(environ=place(Desk(clean_environment, token.registry, LAB_LOGIN)))
    assert ran.statuses == ["copied"], ran.stderr
    assert {asked.username for asked in token_server.requests} == {LAB_LOGIN.username}
    assert len(token_server.requests) == 1


def test_identity_token_buys_a_token(
    token: Crossing, token_server: TokenServer, clean_environment: Path
) -> None:
    identity = token_server.identity_token()
    name = base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode()
    entry = {"auth": name, "identitytoken": identity}
    Desk(clean_environment, token.registry, LAB_LOGIN).write(
        ".docker/config.json", _auths({token.registry: entry})
    )
    ran = token.run("--debug")
    assert ran.statuses == ["copied"], ran.stderr
    assert [(asked.method, asked.grant) for asked in token_server.requests] == [("POST", "refresh")]
    assert _spellings(identity, token.written(ran)) == []


def test_login_missing_is_unauthorized_with_advice(basic: Crossing) -> None:
    outcome = basic.run().only()
    assert (outcome["status"], outcome["kind"]) == ("failed", "unauthorized")
    assert basic.registry in outcome["reason"]
    assert "log in" in outcome["advice"]


@pytest.mark.parametrize("count", [1, 60])
def test_wrong_password_is_shown_to_a_registry_once_and_written_nowhere(
    basic: Crossing, count: int
) -> None:
    assert isinstance(basic.guarded, Registry)
    basic.guarded.clear_log()
    ran = _mirror_names(basic, count, "--debug", environ=_variables(basic, WRONG))
    assert {outcome["kind"] for outcome in ran.outcomes} == {"unauthorized"}
    assert "wrong user name or password" in ran.outcomes[0]["reason"]
    # The greeting, and the login tried at the door.
    assert [(asked.what, asked.status) for asked in basic.guarded.requests()] == [
        ("ping", 401),
        ("ping", 401),
    ]
    assert _spellings(WRONG.password, basic.written(ran)) == []


@pytest.mark.parametrize("count", [1, 60])
def test_wrong_password_is_shown_to_a_token_server_twice_at_most(
    token: Crossing, token_server: TokenServer, count: int
) -> None:
    ran = _mirror_names(token, count, "--debug", environ=_variables(token, WRONG))
    assert {outcome["kind"] for outcome in ran.outcomes} == {"unauthorized"}
    assert "wrong user name or password" in ran.outcomes[0]["reason"]
    # For many repositories at first, then for one of them.
    assert len(token_server.requests) in (1, 2)
    assert _spellings(WRONG.password, token.written(ran)) == []


def test_login_in_variables_is_shown_to_the_only_registry_of_the_list(
    two_sources: tuple[FaultRegistry, FaultRegistry], registry: Registry, tmp_path: Path
) -> None:
    lines = f"{two_sources[0].address}/team/app:1.0\n"
    ran = mirror(tmp_path, lines, "-d", registry.address, environ=_source_variables())
    assert ran.statuses == ["copied"]
    assert "basic" in _shown(two_sources[0])


def test_login_in_variables_is_shown_to_no_registry_of_several(
    two_sources: tuple[FaultRegistry, FaultRegistry], registry: Registry, tmp_path: Path
) -> None:
    lines = "".join(
        f"{double.address}/team/app {registry.address}/team/app{number} 1.0\n"
        for number, double in enumerate(two_sources)
    )
    ran = mirror(tmp_path, lines, environ=_source_variables())
    assert [outcome["kind"] for outcome in ran.outcomes] == ["unauthorized"] * 2
    assert [_shown(double) for double in two_sources] == [{None}, {None}]


def test_login_in_variables_is_shown_to_the_chosen_registry_alone(
    two_sources: tuple[FaultRegistry, FaultRegistry], tmp_path: Path
) -> None:
    chosen, stranger = two_sources
    # The destination asks for a login too, and has none: the source's must not go there.
    words = ("-s", chosen.address, "-d", stranger.address)
    ran = mirror(tmp_path, "team/app:1.0\n", *words, environ=_source_variables())
    assert ran.only()["kind"] == "unauthorized"
    assert stranger.address in ran.only()["reason"]
    assert _shown(stranger) == {None}


def test_many_repositories_share_their_tokens(token: Crossing, token_server: TokenServer) -> None:
    ran = _mirror_many(token, MANY, "-j", "4", environ=_variables(token, LAB_LOGIN))
    assert ran.statuses == ["copied"] * MANY
    assert 1 <= len(token_server.requests) <= 3


@pytest.mark.parametrize(
    ("side", "stage"),
    [
        ("source", Stage.BLOB),
        ("destination", Stage.POST_UPLOAD),
        ("destination", Stage.PUT_BLOB),
        ("destination", Stage.PUT_MANIFEST),
    ],
)
def test_token_that_ends_during_the_run_is_renewed(
    side: str, stage: Stage, registry: Registry, tmp_path: Path
) -> None:
    with Forgetful(FaultOptions(tokens=True, login=LAB_LOGIN)) as double:
        crossing = Crossing(side=side, guarded=double, other=registry, folder=tmp_path)
        crossing.push()
        double.clear_log()
        double.forget_at = stage
        ran = crossing.run(environ=_variables(crossing, LAB_LOGIN))
        assert ran.statuses == ["copied"], ran.stderr
        assert double.forget_at is None
        assert double.count(Stage.TOKEN) == 2
        assert crossing.arrived()


@pytest.mark.parametrize("side", SIDES)
def test_login_and_private_authority_go_together(
    side: str, tls_htpasswd_registry: Registry, registry: Registry, tmp_path: Path
) -> None:
    crossing = Crossing(
        side=side, guarded=tls_htpasswd_registry, other=registry, folder=tmp_path, host="localhost"
    )
    crossing.push()
    certificates = tls_htpasswd_registry.options.certificates
    assert certificates is not None
    words = ("--ca-file", certificates.authority)
    assert crossing.run(*words, environ=_variables(crossing, LAB_LOGIN)).statuses == ["copied"]


def test_login_of_the_source_does_not_serve_the_same_registry_as_destination(
    htpasswd_registry: Registry, tmp_path: Path
) -> None:
    push(htpasswd_registry.endpoint, "team/app", "1.0", SMALL)
    here = htpasswd_registry.address
    lines = f"{here}/team/app {here}/other/app 1.0\n"
    both = {**_source_variables(), "DOCKER_USERNAME": LAB_LOGIN.username}
    assert mirror(tmp_path, lines, environ=_source_variables()).only()["kind"] == "unauthorized"
    ran = mirror(tmp_path, lines, environ={**both, "DOCKER_PASSWORD": LAB_LOGIN.password})
    assert ran.statuses == ["copied"]


def _mirror_many(crossing: Crossing, count: int, *words: str, environ: Mapping[str, str]) -> Ran:
    """Mirror the same image from many names to as many; only its own token requests are kept."""
    assert isinstance(crossing.guarded, Registry)
    for number in range(count):
        push(crossing.ends[0].endpoint, f"team/app-{number}", "1.0", SMALL)
    server = crossing.guarded.options.token_server
    assert server is not None
    server.requests.clear()
    source, destination = (end.at("127.0.0.1") for end in crossing.ends)
    lines = "".join(f"{source}/team/app-{number}:1.0\n" for number in range(count))
    return mirror(crossing.folder, lines, *words, "-d", destination, environ=environ)


def _mirror_names(crossing: Crossing, count: int, *words: str, environ: Mapping[str, str]) -> Ran:
    """Mirror the one image from or to many names at the guarded registry."""
    source, destination = (end.at("127.0.0.1") for end in crossing.ends)
    names = [f"team/app-{number}" for number in range(count)]
    lines = "".join(
        f"{source}/{name if crossing.side == 'source' else REPOSITORY} {destination}/{name} 1.0\n"
        for name in names
    )
    return mirror(crossing.folder, lines, *words, "-j", "4", environ=environ)


def _auths(entries: Mapping[str, Mapping[str, str]]) -> str:
    return json.dumps({"auths": entries})


def _variables(crossing: Crossing, login: Login) -> dict[str, str]:
    return dict(zip(crossing.login_variables, (login.username, login.password), strict=True))


def _source_variables() -> dict[str, str]:
    return {"SOURCE_USERNAME": LAB_LOGIN.username, "SOURCE_PASSWORD": LAB_LOGIN.password}


def _shown(double: FaultRegistry) -> set[str | None]:
    """Give the schemes of all logins the double was shown."""
    return {seen.authorization for seen in double.requests}


def _spellings(secret: str, text: str) -> list[str]:
    """Give the spellings of a secret that stand in a text."""
    pair = f"{LAB_LOGIN.username}:{secret}".encode()
    spelled = (secret, quote(secret, safe=""), quote(secret), base64.b64encode(pair).decode())
    return [spelling for spelling in spelled if spelling in text]
