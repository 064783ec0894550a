"""Which proxy leads to a host."""

from __future__ import annotations

import pytest

from image_tools.errors import EnvironmentProblem
from image_tools.web.proxies import proxy_for

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": "proxy.example:3128"}, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, PROXY),
        ({"HTTP_PROXY": PROXY}, None),
        ({"ALL_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": "https://user:word@proxy.example"}, "https://user:word@proxy.example"),
    ],
)
def test_proxy_is_the_one_of_the_scheme(environ: dict[str, str], expected: str | None) -> None:
    assert proxy_for("https", "registry.example", 443, environ) == expected


@pytest.mark.parametrize(
    ("rules", "host", "port", "direct"),
    [
        ("*", "registry.example", 443, True),
        ("example", "registry.example", 443, True),
        (".example", "registry.example", 443, True),
        ("*.example", "registry.example", 443, True),
        (".registry.example", "registry.example", 443, False),
        ("istry.example", "registry.example", 443, False),
        ("other, REGISTRY.example ", "registry.example.", 443, True),
        ("registry.example:5000", "registry.example", 5000, True),
        ("registry.example:5000", "registry.example", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("[2001:db8::1]:5000", "2001:db8::1", 5000, True),
        ("2001:db8::/32", "[2001:db8::1]", 443, True),
        (",", "registry.example", 443, False),
        ("", "127.0.0.1", 443, True),
        ("", "localhost", 443, True),
    ],
)
def test_no_proxy_names_hosts_domains_networks_and_ports(
    rules: str, host: str, port: int, direct: bool
) -> None:
    environ = {"HTTPS_PROXY": PROXY, "NO_PROXY": rules}

    assert proxy_for("https", host, port, environ) == (None if direct else PROXY)


@pytest.mark.parametrize(
    "value", ["bad proxy", "http://", "p:99999", "http://p:no", "http://[::1", "http://p:0"]
)
def test_proxy_that_cannot_be_is_a_problem_of_the_environment(value: str) -> None:
    with pytest.raises(EnvironmentProblem, match="HTTPS_PROXY names no proxy"):
        proxy_for("https", "registry.example", 443, {"https_proxy": value})


def test_proxy_of_an_unknown_kind_is_a_problem_of_the_environment() -> None:
    with pytest.raises(EnvironmentProblem, match="HTTPS_PROXY names a socks5 proxy"):
        proxy_for("https", "registry.example", 443, {"https_proxy": "socks5://x:1"})
