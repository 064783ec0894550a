"""Getting in with tokens: how they are bought, how many, what happens when they end."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.helpers.client import push
from tests.helpers.crossing import SIDES, SMALL, Crossing
from tests.helpers.endpoint import LAB_LOGIN, Login
from tests.helpers.fault_routes import Asked
from tests.helpers.fault_types import Fault, Seen, Stage
from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.login_places import Desk, auths, config_file, own_helper, spellings, variables
from tests.helpers.registry import Registry
from tests.helpers.running import Ran, mirror
from tests.helpers.token_server import TokenServer

# At the destination one token to look, and one more for what is written there.
TOKENS = {"source": 1, "destination": 2}
WRONG = Login(LAB_LOGIN.username, "wrong-Secret+2:/@")
MANY = 30


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


@pytest.mark.parametrize("place", [config_file, own_helper])
def test_login_found_buys_a_token(
    token: Crossing,
    token_server: TokenServer,
    clean_environment: Path,
    place: Callable[[Desk], dict[str, str]],
) -> None:
    ran = token.run(environ=place(Desk(clean_environment, token.registry, LAB_LOGIN)))
    assert ran.statuses == ["copied"], ran.stderr
    assert {asked.username for asked in token_server.requests} == {LAB_LOGIN.username}
    assert len(token_server.requests) == TOKENS[token.side]


def test_identity_token_buys_a_token(
    token: Crossing, token_server: TokenServer, clean_environment: Path
) -> None:
    identity = token_server.identity_token()
    name = base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode()
    entry = {"auth": name, "identitytoken": identity}
    Desk(clean_environment, token.registry, LAB_LOGIN).write(
        ".docker/config.json", auths({token.registry: entry})
    )
    ran = token.run("--debug")
    assert ran.statuses == ["copied"], ran.stderr
    asked = [(asked.method, asked.grant) for asked in token_server.requests]
    assert asked == [("POST", "refresh")] * TOKENS[token.side]
    assert spellings(identity, "", token.written(ran)) == []


@pytest.mark.parametrize("count", [1, 60])
def test_wrong_password_is_shown_to_a_token_server_twice_at_most(
    token: Crossing, token_server: TokenServer, count: int
) -> None:
    ran = token.run_names(count, "--debug", environ=variables(token, WRONG))
    assert {outcome["kind"] for outcome in ran.outcomes} == {"unauthorized"}
    assert "wrong user name or password" in ran.outcomes[0]["reason"]
    # For many repositories at first, then for one of them.
    assert len(token_server.requests) in (1, 2)
    assert spellings(WRONG.password, WRONG.username, token.written(ran)) == []


def test_many_repositories_share_their_tokens(token: Crossing, token_server: TokenServer) -> None:
    ran = _mirror_many(token, MANY, "-j", "4", environ=variables(token, LAB_LOGIN))
    assert ran.statuses == ["copied"] * MANY
    assert TOKENS[token.side] <= len(token_server.requests) <= MANY // 3


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
    double = Forgetful(FaultOptions(tokens=True, login=LAB_LOGIN))
    with double:
        crossing = Crossing(side=side, guarded=double, other=registry, folder=tmp_path)
        crossing.push()
        double.clear_log()
        double.forget_at = stage
        ran = crossing.run(environ=variables(crossing, LAB_LOGIN))
        assert ran.statuses == ["copied"], ran.stderr
        assert double.count(Stage.TOKEN) == TOKENS[side] + 1
        assert crossing.arrived()


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
