"""Getting in with a login: where it is found, who is told it, how often a wrong one is tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.helpers.client import push
from tests.helpers.crossing import SIDES, SMALL, Crossing
from tests.helpers.endpoint import LAB_LOGIN, Login
from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.login_places import FOUND, Desk, docker_file, spellings, variables
from tests.helpers.registry import Registry
from tests.helpers.running import mirror

WRONG = Login(LAB_LOGIN.username, "wrong-Secret+2:/@")


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


@pytest.fixture
def two_sources() -> Iterator[tuple[FaultRegistry, FaultRegistry]]:
    """Give two doubles that ask for a login and remember what they were shown."""
    with ExitStack() as stack:
        options = FaultOptions(login=LAB_LOGIN)
        found = [stack.enter_context(FaultRegistry(options)) for _ in range(2)]
        for double in found:
            double.load("team/app", "1.0", SMALL)
        yield found[0], found[1]


@pytest.mark.parametrize("place", FOUND)
def test_login_is_found_and_never_written(
    basic: Crossing, clean_environment: Path, place: Callable[[Desk], dict[str, str]]
) -> None:
    ran = basic.run("--debug", environ=place(Desk(clean_environment, basic.registry, LAB_LOGIN)))
    assert ran.statuses == ["copied"], ran.stderr
    assert basic.arrived()
    assert spellings(LAB_LOGIN.password, LAB_LOGIN.username, basic.written(ran)) == []


def test_login_in_variables_goes_before_every_file(
    basic: Crossing, clean_environment: Path
) -> None:
    docker_file(Desk(clean_environment, basic.registry, WRONG))
    ran = basic.run("--debug", environ=variables(basic, LAB_LOGIN))
    assert ran.statuses == ["copied"], ran.stderr
    assert spellings(LAB_LOGIN.password, LAB_LOGIN.username, basic.written(ran)) == []


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
    ran = basic.run_names(count, "--debug", environ=variables(basic, WRONG))
    assert {outcome["kind"] for outcome in ran.outcomes} == {"unauthorized"}
    assert "wrong user name or password" in ran.outcomes[0]["reason"]
    # The greeting, and the login tried at the door.
    assert [(asked.what, asked.status) for asked in basic.guarded.requests()] == [
        ("ping", 401),
        ("ping", 401),
    ]
    assert spellings(WRONG.password, WRONG.username, basic.written(ran)) == []


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
    assert crossing.run(*words, environ=variables(crossing, LAB_LOGIN)).statuses == ["copied"]


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


def _source_variables() -> dict[str, str]:
    return {"SOURCE_USERNAME": LAB_LOGIN.username, "SOURCE_PASSWORD": LAB_LOGIN.password}


def _shown(double: FaultRegistry) -> set[str | None]:
    """Give the schemes of all logins the double was shown."""
    return {seen.authorization for seen in double.requests}
