"""The way through a proxy: HTTP_PROXY, HTTPS_PROXY, NO_PROXY, at either side."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.certificates import Certificates
from tests.helpers.crossing import NAME, SIDES, Crossing
from tests.helpers.endpoint import Login
from tests.helpers.proxy import Proxy
from tests.helpers.registry import Registry

PROXY_LOGIN = Login("proxy-user", "proxy-Secret+3:/@")


@pytest.fixture(params=SIDES)
def named(
    request: pytest.FixtureRequest, registry: Registry, source_registry: Registry, tmp_path: Path
) -> Crossing:
    """Give plain HTTP under a name at one side, on loopback opposite."""
    crossing = Crossing(
        side=request.param, guarded=registry, other=source_registry, folder=tmp_path, host=NAME
    )
    crossing.push()
    return crossing


@pytest.fixture(params=SIDES)
def named_tls(
    request: pytest.FixtureRequest, tls_registry: Registry, registry: Registry, tmp_path: Path
) -> Crossing:
    """Give TLS under a name at one side, plain HTTP on loopback opposite."""
    crossing = Crossing(
        side=request.param, guarded=tls_registry, other=registry, folder=tmp_path, host=NAME
    )
    crossing.push()
    return crossing


@pytest.mark.parametrize("login", [None, PROXY_LOGIN], ids=["open", "login"])
def test_plain_http_goes_through_the_proxy(named: Crossing, login: Login | None) -> None:
    with Proxy(login) as proxy:
        variables = {"HTTP_PROXY": proxy.url, "HTTPS_PROXY": proxy.url}
        ran = named.run("--debug", "--tls-verify=false", environ=variables)
        assert ran.statuses == ["copied"], ran.stderr
        # Loopback is never asked for by way of a proxy: the other side and our own exchange.
        assert proxy.targets == {named.registry}
        assert {p.method for p in proxy.passed if p.status == 200} >= {"CONNECT", "HEAD", "GET"}
    assert named.arrived()
    assert PROXY_LOGIN.password not in named.written(ran)


@pytest.mark.parametrize("login", [None, PROXY_LOGIN], ids=["open", "login"])
def test_tls_goes_through_the_proxy_in_a_tunnel(
    named_tls: Crossing, certificates: Certificates, login: Login | None
) -> None:
    with Proxy(login) as proxy:
        ran = named_tls.run(
            "--debug", "--ca-file", certificates.authority, environ={"https_proxy": proxy.url}
        )
        assert ran.statuses == ["copied"], ran.stderr
        assert {(p.method, p.target) for p in proxy.passed} == {("CONNECT", named_tls.registry)}
    assert PROXY_LOGIN.password not in named_tls.written(ran)


@pytest.mark.parametrize("exempt", [NAME, ".image-tools.test", "*"])
def test_no_proxy_names_are_reached_directly(
    named_tls: Crossing, certificates: Certificates, exempt: str
) -> None:
    with Proxy() as proxy:
        variables = {"HTTPS_PROXY": proxy.url, "NO_PROXY": f"other.example,{exempt}"}
        ran = named_tls.run("--ca-file", certificates.authority, environ=variables)
        assert ran.statuses == ["copied"], ran.stderr
        assert proxy.passed == []


def test_proxy_that_wants_another_login_is_named_and_the_password_is_not(
    named_tls: Crossing, certificates: Certificates
) -> None:
    with Proxy(PROXY_LOGIN) as proxy:
        wrong = proxy.url.replace("proxy-Secret", "wrong-Secret")
        words = ("--debug", "--ca-file", certificates.authority, "--retry-times", "0")
        ran = named_tls.run(*words, environ={"HTTPS_PROXY": wrong})
    outcome = ran.only()
    assert outcome["status"] == "failed"
    assert outcome["kind"] == "proxy-refused"
    assert "the proxy requires authentication (407" in outcome["reason"]
    assert "NO_PROXY" in outcome["advice"]
    assert "wrong-Secret" not in named_tls.written(ran)


def test_direct_source_is_read_through_the_proxy(
    tls_registry: Registry, registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    crossing = Crossing(
        side="source", guarded=tls_registry, other=registry, folder=tmp_path, host=NAME
    )
    crossing.push()
    with Proxy(PROXY_LOGIN) as proxy:
        words = ("--debug", "--direct", "--ca-file", certificates.authority)
        ran = crossing.run(*words, environ={"HTTPS_PROXY": proxy.url})
        assert ran.statuses == ["copied"], ran.stderr
        assert proxy.targets == {crossing.registry}
    assert any("skopeo" in request.agent for request in tls_registry.requests())
    assert PROXY_LOGIN.password not in crossing.written(ran)
