"""Tests of the lab itself: images, real registries, token server, population."""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.helpers import client
from tests.helpers import registry as registry_module
from tests.helpers.certificates import Certificates
from tests.helpers.client import UnexpectedAnswer, push
from tests.helpers.content import INDEX_TYPES, digest_of
from tests.helpers.endpoint import LAB_LOGIN, Endpoint, Login
from tests.helpers.images import KINDS, REGISTRY_KINDS, shared_base
from tests.helpers.population import demo_list, fill, main, residents
from tests.helpers.registry import Registry, plain_registry
from tests.helpers.token_server import LEEWAY_SECONDS, TokenServer
from tests.helpers.tools import Tool, run, versions
from tests.helpers.walk import pull_everything

CREDENTIALS = f"{LAB_LOGIN.username}:{LAB_LOGIN.password}"
RE_SIGNED = {"schema1_signed"}


@pytest.fixture(scope="module")
def shared_registry(docker_registry: Path) -> Iterator[Registry]:
    """Give one registry for tests that each use a repository of their own."""
    with plain_registry() as running:
        yield running


@pytest.mark.parametrize("kind", KINDS)
def test_image_same_seed_gives_same_bytes(kind: str) -> None:
    first, second, other = KINDS[kind](1), KINDS[kind](1), KINDS[kind](2)

    assert first.blobs == second.blobs
    assert [made.digest for made in first.manifests] == [made.digest for made in second.manifests]
    assert first.top.digest != other.top.digest


@pytest.mark.parametrize("kind", KINDS)
def test_image_entries_are_the_lines_of_its_index(kind: str) -> None:
    image = KINDS[kind](1)
    listed = json.loads(image.top.data).get("manifests")

    expected = [entry.descriptor() for entry in image.entries] if image.is_index else None
    assert listed == expected
    assert not any(leaf.media_type in INDEX_TYPES for leaf in image.leaves)
    assert all(blob.digest == digest_of(blob.data) for blob in image.blobs)


def test_shared_base_two_seeds_share_the_lower_layers_only() -> None:
    first, second = shared_base(1, base=7), shared_base(2, base=7)

    common = {blob.digest for blob in first.blobs} & {blob.digest for blob in second.blobs}

    assert len(common) == 4
    assert not {blob.digest for blob in shared_base(3, base=8).blobs} & common


@pytest.mark.parametrize("kind", REGISTRY_KINDS)
def test_kind_pushed_to_real_registry_comes_back_whole(
    kind: str, shared_registry: Registry
) -> None:
    image, repository = KINDS[kind](1), f"lab/{kind}"

    pushed = push(shared_registry, repository, "v1", image)
    pulled = pull_everything(shared_registry, repository, "v1")

    assert pushed == pulled.digest == image.top.digest
    assert pulled.media_type == image.top.media_type
    assert kind in RE_SIGNED or (pulled.data, pulled.entries) == (image.top.data, image.entries)
    assert pulled.blobs.keys() <= {blob.digest for blob in image.blobs}
    assert pulled.manifests.keys() <= {made.digest for made in image.manifests}
    assert client.tags(shared_registry, repository) == ["v1"]


@pytest.mark.parametrize("kind", REGISTRY_KINDS)
def test_kind_in_real_registry_is_seen_by_skopeo(
    kind: str, shared_registry: Registry, skopeo: Path
) -> None:
    image, repository = KINDS[kind](2), f"seen/{kind}"
    push(shared_registry, repository, "v1", image)

    reference = f"docker://{shared_registry.address}/{repository}:v1"
    seen = run(skopeo, "inspect", "--raw", "--tls-verify=false", reference)

    assert kind in RE_SIGNED or seen.stdout.encode() == image.top.data
    assert json.loads(seen.stdout)["schemaVersion"] == (1 if kind in RE_SIGNED else 2)


def test_schema1_in_real_registry_is_converted_by_skopeo(registry: Registry, skopeo: Path) -> None:
    push(registry, "old/image", "v1", KINDS["schema1_signed"](3))

    address = f"docker://{registry.address}"
    run(
        *(skopeo, "copy", "--format=v2s2", "--src-tls-verify=false", "--dest-tls-verify=false"),
        *(f"{address}/old/image:v1", f"{address}/new/image:v1"),
    )

    pulled = pull_everything(registry, "new/image", "v1")
    assert pulled.entries[0].config_platform == {"architecture": "amd64", "os": "linux"}


@pytest.mark.parametrize(
    "fixture",
    [
        "tls_registry",
        "client_certificate_registry",
        "htpasswd_registry",
        "tls_htpasswd_registry",
        "token_registry",
    ],
)
def test_guarded_registry_takes_and_gives_an_image(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    guarded: Registry = request.getfixturevalue(fixture)
    image = KINDS["oci_index"](1)

    push(guarded, "team/app", "v1", image)

    assert pull_everything(guarded, "team/app", "v1").entries == image.entries
    assert client.manifest(guarded, "team/app", "absent") is None


@pytest.mark.parametrize("fixture", ["htpasswd_registry", "token_registry"])
@pytest.mark.parametrize("login", [None, Login(LAB_LOGIN.username, "wrong")])
def test_guarded_registry_refuses_strangers(
    fixture: str, login: Login | None, request: pytest.FixtureRequest
) -> None:
    guarded: Registry = request.getfixturevalue(fixture)

    with pytest.raises(UnexpectedAnswer, match="401"):
        push(Endpoint(address=guarded.address, login=login), "a/b", "v1", KINDS["oci_manifest"](1))


@pytest.mark.parametrize("host", ["registry.image-tools.test", "source.image-tools.test"])
def test_tls_registry_answers_under_its_other_names(tls_registry: Registry, host: str) -> None:
    named = Endpoint(address=tls_registry.at(host), tls=tls_registry.endpoint.tls)

    push(named, "a/b", "v1", KINDS["oci_manifest"](1))

    assert client.tags(tls_registry, "a/b") == ["v1"]


def test_client_certificate_registry_without_one_refuses_the_handshake(
    client_certificate_registry: Registry, certificates: Certificates
) -> None:
    anonymous = Endpoint(
        address=client_certificate_registry.address, tls=certificates.client_context()
    )

    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        client.tags(anonymous, "a/b")


def test_tls_registry_private_authority_is_unknown_to_skopeo(
    tls_registry: Registry, certificates: Certificates, skopeo: Path, tmp_path: Path
) -> None:
    push(tls_registry, "a/b", "v1", KINDS["docker_schema2"](1))
    (tmp_path / "ca.crt").write_bytes(certificates.authority.read_bytes())
    inspect = (skopeo, "inspect", "--raw")
    reference = f"docker://{tls_registry.at('registry.image-tools.test')}/a/b:v1"

    refused = run(*inspect, reference, check=False)
    allowed = run(*inspect, f"--cert-dir={tmp_path}", reference)

    assert "certificate signed by unknown authority" in refused.stderr
    assert json.loads(allowed.stdout)["schemaVersion"] == 2


def test_requests_give_every_answer_since_the_log_was_cleared(registry: Registry) -> None:
    push(registry, "a/b", "v1", KINDS["oci_manifest"](1))
    registry.clear_log()

    client.manifest(registry, "a/b", "v1")
    client.manifest(registry, "a/b", "absent")
    client.tags(registry, "a/b")

    assert [
        (r.method, r.what, r.repository, r.reference, r.status) for r in registry.requests()
    ] == [
        ("GET", "manifests", "a/b", "v1", 200),
        ("GET", "manifests", "a/b", "absent", 404),
        ("GET", "tags", "a/b", "list", 200),
    ]
    registry.clear_log()
    assert registry.requests() == []


def test_storage_holds_blobs_and_manifests_of_an_image(registry: Registry) -> None:
    image = KINDS["docker_list"](1)

    push(registry, "a/b", "v1", image)

    digests = [part.digest for part in image.blobs] + [part.digest for part in image.manifests]
    assert registry.stored_blobs() == set(digests)


def test_registry_finds_another_port_when_its_own_was_taken(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = [registry.port, registry_module.free_port()]
    monkeypatch.setattr(registry_module, "free_port", lambda: ports.pop(0))

    with plain_registry() as second:
        assert second.port != registry.port


def test_registries_ended_leave_no_process_and_no_folder() -> None:
    with ExitStack() as stack:
        running = [stack.enter_context(plain_registry()) for _ in range(4)]
        assert len({one.port for one in running}) == 4

    assert not any(Path(f"/proc/{one.pid}").exists() or one.folder.exists() for one in running)


@pytest.mark.parametrize("tool", versions("skopeo"), ids=lambda tool: tool.version)
def test_token_registry_is_usable_by_skopeo_copy(
    tool: Tool, token_registry: Registry, token_server: TokenServer
) -> None:
    image = KINDS["docker_list"](1)
    push(token_registry, "in/app", "v1", image)
    token_server.requests.clear()

    _copy(tool.path, token_registry, "--src-creds", CREDENTIALS, "--dest-creds", CREDENTIALS)

    assert (
        pull_everything(token_registry, "out/app", "v1").digest
        == KINDS["docker_list"](1).top.digest
    )
    assert {asked.status for asked in token_server.requests} == {200}
    assert {asked.username for asked in token_server.requests} == {LAB_LOGIN.username}


def test_token_server_identity_token_is_taken_by_skopeo(
    token_registry: Registry, token_server: TokenServer, skopeo: Path, tmp_path: Path
) -> None:
    push(token_registry, "in/app", "v1", KINDS["docker_schema2"](1))
    token_server.requests.clear()
    name = base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode()
    entry = {"auth": name, "identitytoken": token_server.identity_token()}
    auth = tmp_path / "auth.json"
    auth.write_text(json.dumps({"auths": {token_registry.address: entry}}))

    _copy(skopeo, token_registry, "--authfile", str(auth))

    assert {(asked.method, asked.grant) for asked in token_server.requests} == {("POST", "refresh")}


@pytest.mark.parametrize(("anonymous_pull", "code"), [(True, 0), (False, 1)])
def test_token_server_anonymous_pull_is_decided_by_policy(
    anonymous_pull: bool,
    code: int,
    token_registry: Registry,
    token_server: TokenServer,
    skopeo: Path,
) -> None:
    push(token_registry, "in/app", "v1", KINDS["docker_schema2"](1))
    token_server.policy.anonymous_pull = anonymous_pull

    reference = f"docker://{token_registry.address}/in/app:v1"
    done = run(skopeo, "inspect", "--raw", "--tls-verify=false", reference, check=False)

    assert done.returncode == code
    with pytest.raises(UnexpectedAnswer, match="401"):
        push(Endpoint(address=token_registry.address), "in/app", "v2", KINDS["oci_manifest"](1))


def test_token_server_ended_token_is_refused_by_the_registry(
    token_registry: Registry, token_server: TokenServer
) -> None:
    scope = ("repository:a/b:pull,push",)
    good = token_server.access_token("somebody", scope)
    token_server.policy.lifetime = -1
    ended = token_server.access_token("somebody", scope)

    statuses = [_ping_tags(token_registry, token) for token in (good, ended)]

    assert statuses == [404, 401]
    assert LEEWAY_SECONDS == 60


def test_population_fills_a_registry_twice_with_shared_layers(registry: Registry) -> None:
    filled = fill(registry)

    assert fill(registry) == filled == tuple(residents())
    whole = sum(one.image.size for one in filled)
    distinct = {blob.digest: len(blob.data) for one in filled for blob in one.image.blobs}
    assert sum(distinct.values()) < 0.6 * whole
    assert 1_500_000 < sum(distinct.values()) < 6_000_000
    for one in filled:
        assert pull_everything(registry, one.repository, one.tag).digest == one.image.top.digest


def test_population_command_writes_the_list_it_filled(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    main([registry.address, "--destination", "dest.example:5000"])

    written = capsys.readouterr().out
    assert written == demo_list(registry.address, "dest.example:5000")
    assert written.splitlines()[0] == (
        f"{registry.address}/library/base dest.example:5000/library/base 1.0"
    )
    assert demo_list("a:1").splitlines()[0] == "a:1/library/base:1.0"


def test_clean_environment_hides_the_home_and_keeps_buildx(clean_environment: Path) -> None:
    assert os.environ["HOME"] == str(clean_environment)
    assert "DOCKER_CONFIG" not in os.environ
    run(clean_environment / ".docker/cli-plugins/docker-buildx", "version")


def _copy(skopeo: Path, registry: Registry, *options: str) -> None:
    """Copy in/app:v1 to out/app:v1 with every platform."""
    address = f"docker://{registry.address}"
    unchecked = ("--src-tls-verify=false", "--dest-tls-verify=false")
    places = (f"{address}/in/app:v1", f"{address}/out/app:v1")
    run(skopeo, "copy", "--all", *unchecked, *options, *places)


def _ping_tags(registry: Registry, token: str) -> int:
    connection = http.client.HTTPConnection(registry.address)
    connection.request("GET", "/v2/a/b/tags/list", headers={"Authorization": f"Bearer {token}"})
    status = connection.getresponse().status
    connection.close()
    return status
