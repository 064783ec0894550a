"""The way to a source: registries.conf, signature policies, skopeo that reads it by itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.access_log import Request
from tests.helpers.certificates import Certificates
from tests.helpers.client import tags
from tests.helpers.crossing import NAME, REPOSITORY, SMALL, Crossing
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.fault_types import Stage
from tests.helpers.faults import FaultRegistry
from tests.helpers.registry import Registry
from tests.helpers.running import mirror
from tests.helpers.token_server import TokenServer
from tests.helpers.walk import pull_everything

CONF = ".config/containers/registries.conf"
CLIENT_FIXTURE = "client_certificate_registry"
UNSIGNED = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/nonexistent/lab.gpg"}
REJECT = {"type": "reject"}
LOGIN = {"SOURCE_USERNAME": LAB_LOGIN.username, "SOURCE_PASSWORD": LAB_LOGIN.password}


@pytest.fixture
def outgoing(source_registry: Registry, registry: Registry, tmp_path: Path) -> Crossing:
    """Give a filled source and an empty destination, both open on loopback."""
    crossing = Crossing(side="source", guarded=source_registry, other=registry, folder=tmp_path)
    crossing.push()
    source_registry.clear_log()
    return crossing


def test_registries_conf_location_takes_the_place_of_a_prefix(
    outgoing: Crossing, clean_environment: Path
) -> None:
    table = f'[[registry]]\nprefix = "hub.example/apps"\nlocation = "{outgoing.registry}/team"\n'
    _registries_conf(clean_environment, table)
    words = ("-d", outgoing.other.at("127.0.0.1"))
    ran = mirror(outgoing.folder, "hub.example/apps/app:1.0\n", *words)
    assert ran.statuses == ["copied"], ran.stderr
    pulled = pull_everything(outgoing.other.endpoint, "apps/app", "1.0")
    assert pulled.digest == SMALL.top.digest


@pytest.mark.parametrize("variable", [True, False])
def test_registries_conf_mirror_that_has_the_image_is_asked_alone(
    outgoing: Crossing, fault_registry: FaultRegistry, clean_environment: Path, variable: bool
) -> None:
    fault_registry.load(REPOSITORY, "1.0", SMALL)
    path = _registries_conf(
        clean_environment,
        _mirrored(outgoing.registry, fault_registry.address),
        "elsewhere.conf" if variable else CONF,
    )
    ran = outgoing.run(environ={"CONTAINERS_REGISTRIES_CONF": str(path)} if variable else {})
    assert ran.statuses == ["copied"], ran.stderr
    assert outgoing.arrived()
    assert fault_registry.count(Stage.BLOB) > 0
    assert _asked(outgoing) == []


def test_registries_conf_mirror_that_lacks_the_image_falls_back_to_the_origin(
    outgoing: Crossing, fault_registry: FaultRegistry, clean_environment: Path
) -> None:
    _registries_conf(clean_environment, _mirrored(outgoing.registry, fault_registry.address))
    ran = outgoing.run()
    assert ran.statuses == ["copied"], ran.stderr
    assert outgoing.arrived()
    assert fault_registry.count(Stage.HEAD_MANIFEST) > 0
    assert ("GET", "blobs") in [(asked.method, asked.what) for asked in _asked(outgoing)]


def test_registries_conf_mirror_that_is_down_falls_back_to_the_origin(
    outgoing: Crossing, clean_environment: Path
) -> None:
    _registries_conf(clean_environment, _mirrored(outgoing.registry, "127.0.0.1:1"))
    ran = outgoing.run()
    assert ran.statuses == ["copied"], ran.stderr
    assert outgoing.arrived()


def test_registries_conf_insecure_allows_plain_http_at_the_source_alone(
    outgoing: Crossing, clean_environment: Path
) -> None:
    named = replace(outgoing, host=NAME)
    assert named.run("--retry-times", "0").only()["kind"] == "tls-problem"
    _registries_conf(clean_environment, f'[[registry]]\nlocation = "{NAME}"\ninsecure = true\n')
    assert named.run("--retry-times", "0").only()["kind"] == "tls-problem"
    content = f'[[registry]]\nlocation = "{named.registry}"\ninsecure = true\n'
    _registries_conf(clean_environment, content)
    ran = named.run()
    assert ran.statuses == ["copied"], ran.stderr


def test_registries_conf_blocked_fails_and_names_the_file(
    outgoing: Crossing, clean_environment: Path
) -> None:
    content = f'[[registry]]\nlocation = "{outgoing.registry}"\nblocked = true\n'
    path = _registries_conf(clean_environment, content)
    ran = outgoing.run()
    outcome = ran.only()
    assert (ran.code, outcome["status"]) == (1, "failed")
    assert f"registries.conf blocks {outgoing.registry}" in outcome["reason"]
    assert str(path) in outcome["advice"]
    assert _asked(outgoing) == []


@pytest.mark.parametrize(
    "requirement",
    [
        pytest.param(REJECT, id="reject"),
        pytest.param(UNSIGNED, id="unsigned"),
    ],
)
def test_policy_that_does_not_accept_the_source_stops_the_image(
    outgoing: Crossing, requirement: Mapping[str, str]
) -> None:
    ran = outgoing.run("--policy", _policy(outgoing, outgoing.registry, requirement))
    outcome = ran.only()
    assert (ran.code, outcome["kind"]) == (1, "policy-rejected"), outcome
    assert f"{outgoing.registry}/{REPOSITORY}" in outcome["reason"]
    assert outcome["advice"]
    assert tags(outgoing.other.endpoint, REPOSITORY) == []


def test_policy_for_another_registry_changes_nothing(outgoing: Crossing) -> None:
    ran = outgoing.run("--policy", _policy(outgoing, "other.example", UNSIGNED))
    assert ran.statuses == ["copied"], ran.stderr
    assert "skopeo" not in _agents(outgoing)


@pytest.mark.parametrize("accepted", [True, False])
def test_policy_of_the_user_holds_unless_told_otherwise(
    outgoing: Crossing, clean_environment: Path, accepted: bool
) -> None:
    own = clean_environment / ".config/containers/policy.json"
    own.parent.mkdir(parents=True)
    own.write_bytes(_policy(outgoing, outgoing.registry, REJECT).read_bytes())
    outcome = outgoing.run(*(("--insecure-policy",) if accepted else ())).only()
    assert outcome["status"] == ("copied" if accepted else "failed")


@pytest.mark.parametrize("way", ["htpasswd", "client certificate"])
def test_direct_source_is_read_by_skopeo_itself(
    way: str,
    request: pytest.FixtureRequest,
    registry: Registry,
    certificates: Certificates,
    clean_environment: Path,
    tmp_path: Path,
) -> None:
    names = {"htpasswd": "tls_htpasswd_registry", "client certificate": CLIENT_FIXTURE}
    crossing = Crossing(
        side="source",
        guarded=request.getfixturevalue(names[way]),
        other=registry,
        folder=tmp_path,
        host=NAME,
        image=images.docker_list(1),
    )
    crossing.push()
    if way == "client certificate":
        folder = clean_environment / ".config/containers/certs.d" / crossing.registry
        folder.mkdir(parents=True)
        (folder / "me.cert").write_bytes(certificates.client_certificate.read_bytes())
        (folder / "me.key").write_bytes(certificates.client_key.read_bytes())
    words = ("-a", "all", "--debug", "--direct", "--ca-file", certificates.authority)
    ran = crossing.run(*words, environ=LOGIN)
    assert ran.statuses == ["copied"], ran.stderr
    assert "skopeo" in _agents(crossing)
    pulled = pull_everything(registry.endpoint, REPOSITORY, "1.0")
    assert pulled.digest == crossing.image.top.digest
    assert LAB_LOGIN.password not in crossing.written(ran)


def test_direct_source_gets_the_identity_token(
    token_registry: Registry,
    token_server: TokenServer,
    registry: Registry,
    clean_environment: Path,
    tmp_path: Path,
) -> None:
    crossing = Crossing(side="source", guarded=token_registry, other=registry, folder=tmp_path)
    crossing.push()
    token_server.requests.clear()
    identity = token_server.identity_token()
    entry = {"auth": base64.b64encode(b"<token>:").decode(), "identitytoken": identity}
    path = clean_environment / ".docker/config.json"
    path.write_text(json.dumps({"auths": {crossing.registry: entry}}))
    ran = crossing.run("--debug", "--direct")
    assert ran.statuses == ["copied"], ran.stderr
    assert {asked.grant for asked in token_server.requests} == {"refresh"}
    assert "skopeo" in _agents(crossing)
    assert identity not in crossing.written(ran)


@pytest.mark.parametrize("variable", [True, False])
def test_direct_source_follows_registries_conf(
    outgoing: Crossing, clean_environment: Path, variable: bool
) -> None:
    name = "elsewhere.conf" if variable else CONF
    content = (
        '[[registry]]\nprefix = "hub.example/apps"\ninsecure = true\n'
        f'location = "{outgoing.guarded.at(NAME)}/team"\n'
    )
    path = _registries_conf(clean_environment, content, name)
    words = ("--direct", "-d", outgoing.other.at("127.0.0.1"))
    environ = {"CONTAINERS_REGISTRIES_CONF": str(path)} if variable else {}
    ran = mirror(outgoing.folder, "hub.example/apps/app:1.0\n", *words, environ=environ)
    assert ran.statuses == ["copied"], ran.stderr
    assert "skopeo" in _agents(outgoing)


def _registries_conf(home: Path, content: str, name: str = CONF) -> Path:
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def _mirrored(origin: str, mirror_location: str) -> str:
    return (
        f'[[registry]]\nlocation = "{origin}"\n'
        f'[[registry.mirror]]\nlocation = "{mirror_location}"\n'
    )


def _policy(crossing: Crossing, scope: str, requirement: Mapping[str, str]) -> Path:
    path = crossing.folder / "policy.json"
    document = {
        "default": [{"type": "insecureAcceptAnything"}],
        "transports": {"docker": {scope: [requirement]}},
    }
    path.write_text(json.dumps(document))
    return path


def _asked(crossing: Crossing) -> list[Request]:
    assert isinstance(crossing.guarded, Registry)
    return crossing.guarded.requests()


def _agents(crossing: Crossing) -> set[str]:
    return {asked.agent.partition("/")[0] for asked in _asked(crossing)}
