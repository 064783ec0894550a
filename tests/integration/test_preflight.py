"""Before the first copy: does each destination let us in, and does it take pushes?"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.client import push, tags
from tests.helpers.crossing import SMALL
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.fault_types import ALWAYS, Fault, Stage
from tests.helpers.faults import FaultRegistry
from tests.helpers.images import helm_chart
from tests.helpers.registry import Registry
from tests.helpers.running import mirror
from tests.helpers.token_server import TokenServer
from tests.helpers.typed import Typist

NAME, SECRET = LAB_LOGIN.username, LAB_LOGIN.password
LOGIN = {"DOCKER_USERNAME": NAME, "DOCKER_PASSWORD": SECRET}


@pytest.fixture
def source(source_registry: Registry) -> Registry:
    """Give a source with three small images of three repositories."""
    for number in range(3):
        push(source_registry.endpoint, f"team/app{number}", "1.0", SMALL)
    source_registry.clear_log()
    return source_registry


def lines(source: Registry) -> str:
    return "".join(f"{source.address}/team/app{number}:1.0\n" for number in range(3))


def blobs_read(source: Registry) -> list[str | None]:
    """Give the repositories that blobs were read from."""
    return [
        one.repository for one in source.requests() if (one.method, one.what) == ("GET", "blobs")
    ]


def tried(registry: Registry) -> Counter[str | None]:
    """Give how many uploads were given up, by repository: each is a push that was tried."""
    return Counter(one.repository for one in registry.requests() if one.method == "DELETE")


@pytest.mark.parametrize(
    ("status", "kind"), [(403, "access-denied"), (404, "repository-missing"), (405, "read-only")]
)
def test_preflight_repository_that_refuses_pushes_is_told_before_anything_moves(
    source: Registry, fault_registry: FaultRegistry, tmp_path: Path, status: int, kind: str
) -> None:
    fault_registry.add(Fault(Stage.POST_UPLOAD, status, ALWAYS, repository="team/app1"))
    ran = mirror(tmp_path, lines(source), "-d", fault_registry.address)

    assert (ran.code, ran.statuses) == (1, ["copied", "failed", "copied"]), ran.stderr
    assert ran.outcomes[1]["kind"] == kind
    assert f"{fault_registry.address}/team/app1: trying to push: " in ran.outcomes[1]["reason"]
    assert ran.outcomes[1]["bytes_moved"] == 0
    assert "team/app1" not in blobs_read(source)


def test_preflight_failure_that_may_pass_is_left_to_the_copy(
    source: Registry, fault_registry: FaultRegistry, tmp_path: Path
) -> None:
    fault_registry.add(Fault(Stage.POST_UPLOAD, 503, times=2, repository="team/app1"))
    ran = mirror(tmp_path, lines(source), "-d", fault_registry.address, "--retry-times", "1")

    assert ran.statuses == ["copied"] * 3, ran.stderr


def test_preflight_without_a_login_nothing_is_moved_and_what_is_there_is_unchanged(
    source: Registry, token_registry: Registry, token_server: TokenServer, tmp_path: Path
) -> None:
    where = ("-d", token_registry.address)
    first = mirror(tmp_path, lines(source).splitlines()[0], *where, environ=LOGIN)
    assert first.statuses == ["copied"]
    source.clear_log()
    token_server.policy.anonymous_pull = True
    ran = mirror(tmp_path, lines(source), *where)

    assert (ran.code, ran.statuses) == (1, ["unchanged", "failed", "failed"]), ran.stderr
    assert {outcome["kind"] for outcome in ran.outcomes[1:]} == {"unauthorized"}
    assert blobs_read(source) == []
    assert "image-tools login" in ran.outcomes[1]["advice"]


def test_preflight_tries_each_repository_once_and_unchanged_ones_never(
    source: Registry, registry: Registry, tmp_path: Path
) -> None:
    for tag in ("2.0", "3.0"):
        push(source.endpoint, "team/app0", tag, helm_chart(int(tag[0])))
    listed = lines(source) + "".join(f"{source.address}/team/app0:{n}.0\n" for n in (2, 3))
    where = ("-d", registry.address, "-j", "4")
    assert mirror(tmp_path, listed, *where).statuses == ["copied"] * 5
    assert tried(registry) == {f"team/app{number}": 1 for number in range(3)}
    registry.clear_log()
    assert mirror(tmp_path, listed, *where).statuses == ["unchanged"] * 5
    assert tried(registry) == {}


def test_preflight_believes_a_token_that_allows_pushes(
    source: Registry, token_registry: Registry, tmp_path: Path
) -> None:
    ran = mirror(tmp_path, lines(source), "-d", token_registry.address, environ=LOGIN)

    assert (ran.statuses, tried(token_registry)) == (["copied"] * 3, {})


def test_preflight_is_left_out_on_demand(
    source: Registry, registry: Registry, tmp_path: Path
) -> None:
    ran = mirror(tmp_path, lines(source), "-d", registry.address, "--skip-login")

    assert (ran.statuses, tried(registry)) == (["copied"] * 3, {})


def test_preflight_source_that_refuses_closes_no_destination(
    source: Registry, htpasswd_registry: Registry, registry: Registry, tmp_path: Path
) -> None:
    listed = f"{htpasswd_registry.address}/team/app:1.0\n{lines(source)}"
    ran = mirror(tmp_path, listed, "-d", registry.address)

    assert ran.statuses == ["failed", *["copied"] * 3]
    assert htpasswd_registry.address in ran.outcomes[0]["reason"]


def test_preflight_at_a_terminal_asks_until_the_login_is_right_and_keeps_it(
    source: Registry, htpasswd_registry: Registry, clean_environment: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text(lines(source))
    words = ("-f", tmp_path / "list.txt", "-d", htpasswd_registry.address, "--no-state")
    with Typist("mirror", *words, "-o", tmp_path / "failed.txt", "-j", "3") as typist:
        typist.log_in(NAME, "wrong")
        typist.log_in(NAME, SECRET)
        code = typist.end()

    assert code == 0, typist.screen
    assert tags(htpasswd_registry.endpoint, "team/app2") == ["1.0"]
    kept = json.loads((clean_environment / ".docker/config.json").read_text())
    assert list(kept["auths"]) == [htpasswd_registry.address]
    assert typist.screen.count("Log in to ") == 2
    assert SECRET not in typist.screen


def test_preflight_at_a_terminal_stops_after_three_wrong_logins(
    source: Registry, htpasswd_registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text(lines(source))
    words = ("-f", tmp_path / "list.txt", "-d", htpasswd_registry.address, "--no-state")
    with Typist("mirror", *words, "-o", tmp_path / "failed.txt") as typist:
        for _ in range(3):
            typist.log_in(NAME, "wrong")
        code = typist.end()

    assert code == 1, typist.screen
    assert "3 failed" in typist.screen
    assert blobs_read(source) == []
