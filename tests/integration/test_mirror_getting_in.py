"""Getting in by plain HTTP, TLS and certificates, at the source as at the destination."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.certificates import Certificates
from tests.helpers.crossing import NAME, SIDES, Crossing
from tests.helpers.registry import Registry, start_registry
from tests.helpers.registry_options import RegistryOptions

NO_TRUST = "signed by an unknown authority"


def _speaks_ipv6() -> bool:
    if not socket.has_ipv6:
        return False
    with closing(socket.socket(socket.AF_INET6)) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


LOOPBACKS = ("127.0.0.1", "[::1]") if _speaks_ipv6() else ("127.0.0.1",)


@pytest.fixture(params=SIDES)
def plain(
    request: pytest.FixtureRequest, registry: Registry, source_registry: Registry, tmp_path: Path
) -> Crossing:
    """Give plain HTTP at both sides, of which one may have a name."""
    crossing = Crossing(
        side=request.param, guarded=registry, other=source_registry, folder=tmp_path
    )
    crossing.push()
    return crossing


@pytest.fixture(params=SIDES)
def tls(
    request: pytest.FixtureRequest, tls_registry: Registry, registry: Registry, tmp_path: Path
) -> Crossing:
    """Give TLS with the private authority under a name, and plain HTTP opposite."""
    crossing = Crossing(
        side=request.param, guarded=tls_registry, other=registry, folder=tmp_path, host=NAME
    )
    crossing.push()
    return crossing


@pytest.fixture(params=SIDES)
def asking(
    request: pytest.FixtureRequest,
    client_certificate_registry: Registry,
    registry: Registry,
    tmp_path: Path,
) -> Crossing:
    """Give TLS that demands a client certificate, and plain HTTP opposite."""
    crossing = Crossing(
        side=request.param,
        guarded=client_certificate_registry,
        other=registry,
        folder=tmp_path,
        host=NAME,
    )
    crossing.push()
    return crossing


@pytest.fixture(params=LOOPBACKS)
def loopback_registry(
    request: pytest.FixtureRequest, docker_registry: Path
) -> Iterator[tuple[str, Registry]]:
    """Give an open registry that listens on one loopback address."""
    with start_registry(RegistryOptions(host=request.param)) as running:
        yield request.param, running


@pytest.mark.parametrize("side", SIDES)
def test_plain_http_on_loopback_needs_no_flag(
    side: str, loopback_registry: tuple[str, Registry], registry: Registry, tmp_path: Path
) -> None:
    host, running = loopback_registry
    crossing = Crossing(
        side=side,
        guarded=running,
        other=registry,
        folder=tmp_path,
        host=host,
        image=images.docker_schema2(1),
    )
    crossing.push()
    ran = crossing.run()
    assert (ran.code, ran.statuses) == (0, ["copied"]), ran.stderr
    assert crossing.arrived()


def test_plain_http_on_a_name_is_refused_and_the_message_says_what_to_do(plain: Crossing) -> None:
    ran = replace(plain, host=NAME).run("--retry-times", "0")
    outcome = ran.only()
    assert (ran.code, outcome["kind"]) == (1, "tls-problem"), outcome
    assert "does not speak TLS, or speaks plain HTTP" in outcome["reason"]
    assert "--tls-verify=false" in outcome["advice"]


@pytest.mark.parametrize("both", [True, False])
def test_plain_http_on_a_name_is_spoken_where_verification_is_off(
    plain: Crossing, both: bool
) -> None:
    named = replace(plain, host=NAME)
    ran = named.run("--tls-verify=false" if both else named.unverified)
    assert (ran.code, ran.statuses) == (0, ["copied"]), ran.stderr
    assert named.arrived()


@pytest.mark.parametrize("host", ["127.0.0.1", NAME])
def test_private_authority_unknown_is_a_tls_problem_with_advice(tls: Crossing, host: str) -> None:
    crossing = replace(tls, host=host)
    outcome = crossing.run("--retry-times", "0").only()
    assert (outcome["status"], outcome["kind"]) == ("failed", "tls-problem")
    assert crossing.registry in outcome["reason"]
    assert NO_TRUST in outcome["reason"]
    assert "--ca-file" in outcome["advice"]


@pytest.mark.parametrize("host", ["127.0.0.1", NAME])
def test_private_authority_given_as_ca_file_is_trusted(
    tls: Crossing, certificates: Certificates, host: str
) -> None:
    crossing = replace(tls, host=host)
    ran = crossing.run("--ca-file", certificates.authority)
    assert ran.statuses == ["copied"], ran.stderr
    assert crossing.arrived()


def test_private_authority_in_ssl_cert_file_is_trusted(
    tls: Crossing, certificates: Certificates
) -> None:
    ran = tls.run(environ={"SSL_CERT_FILE": str(certificates.authority)})
    assert ran.statuses == ["copied"], ran.stderr


@pytest.mark.parametrize("tool", ["containers", "docker"])
def test_private_authority_in_a_certs_d_folder_is_trusted(
    tls: Crossing, certificates: Certificates, clean_environment: Path, tool: str
) -> None:
    _certs_d(clean_environment, tool, tls, {"ca.crt": certificates.authority})
    ran = tls.run()
    assert ran.statuses == ["copied"], ran.stderr


def test_private_authority_of_another_port_is_not_trusted(
    tls: Crossing, certificates: Certificates, clean_environment: Path
) -> None:
    elsewhere = replace(tls, guarded=tls.other)
    _certs_d(clean_environment, "containers", elsewhere, {"ca.crt": certificates.authority})
    assert NO_TRUST in tls.run("--retry-times", "0").only()["reason"]


@pytest.mark.parametrize("both", [True, False])
def test_unknown_authority_is_accepted_where_verification_is_off(tls: Crossing, both: bool) -> None:
    ran = tls.run("--tls-verify=false" if both else tls.unverified)
    assert ran.statuses == ["copied"], ran.stderr


def test_verification_off_at_the_other_side_changes_nothing(tls: Crossing) -> None:
    opposite = replace(tls, side=next(side for side in SIDES if side != tls.side))
    assert tls.run(opposite.unverified, "--retry-times", "0").only()["kind"] == "tls-problem"


def test_client_certificate_in_a_certs_d_folder_is_shown(
    asking: Crossing, certificates: Certificates, clean_environment: Path
) -> None:
    files = {
        "ca.crt": certificates.authority,
        "me.cert": certificates.client_certificate,
        "me.key": certificates.client_key,
    }
    _certs_d(clean_environment, "containers", asking, files)
    ran = asking.run()
    assert ran.statuses == ["copied"], ran.stderr
    assert asking.arrived()


def test_client_certificate_missing_is_asked_for(
    asking: Crossing, certificates: Certificates
) -> None:
    outcome = asking.run("--ca-file", certificates.authority).only()
    assert outcome["kind"] == "tls-problem"
    assert "wants a client certificate" in outcome["reason"]
    assert f"~/.config/containers/certs.d/{asking.registry}" in outcome["advice"]


def test_client_certificate_without_its_key_names_the_file(
    asking: Crossing, certificates: Certificates, clean_environment: Path
) -> None:
    _certs_d(clean_environment, "docker", asking, {"me.cert": certificates.client_certificate})
    outcome = asking.run("--ca-file", certificates.authority).only()
    assert outcome["status"] == "failed"
    assert "certs.d" in outcome["reason"]
    assert "me.key: missing" in outcome["reason"]


def _certs_d(home: Path, tool: str, crossing: Crossing, files: dict[str, Path]) -> None:
    """Put files into the user's certs.d folder of the guarded registry."""
    folder = home / ".config" / tool / "certs.d" / crossing.registry
    folder.mkdir(parents=True)
    for name, origin in files.items():
        (folder / name).write_bytes(origin.read_bytes())
