"""The proxy for a host: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as Go's tools read them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from image_tools.errors import EnvironmentProblem
from image_tools.web.tls import is_loopback


def proxy_for(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy for `scheme` to `host`:`port`, None for a direct connection.

    Loopback has no proxy (golang.org/x/net/http/httpproxy). Raise EnvironmentProblem if the
    variable names another kind of proxy than http and https, or an impossible host or port.
    """
    name = f"{scheme}_proxy"
    value = environ.get(name) or environ.get(name.upper()) or ""
    if not value or is_loopback(host) or _is_exempt(host, port, environ):
        return None
    url = value if "://" in value else f"http://{value}"
    if not _is_possible(url):
        raise EnvironmentProblem(
            f"{name.upper()} names no proxy: HOST:PORT or http://HOST:PORT is expected",
            advice="correct the variable, or unset it",
        )
    if (kind := urlsplit(url).scheme) not in ("http", "https"):
        raise EnvironmentProblem(
            f"{name.upper()} names a {kind} proxy: only http and https are spoken"
        )
    return url


def _is_possible(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and " " not in parts.netloc and parts.port != 0
    except ValueError:
        return False


def _is_exempt(host: str, port: int, environ: Mapping[str, str]) -> bool:
    rules = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    bare = host.strip("[]").rstrip(".").lower()
    return any(_matches(rule.strip().lower(), bare, port) for rule in rules.split(","))


def _matches(rule: str, host: str, port: int) -> bool:
    if rule == "*":
        return True
    if not rule or _matches_network(rule, host):
        return bool(rule)
    name, rule_port = _split_port(rule)
    if rule_port and rule_port != str(port):
        return False
    suffix = name.removeprefix("*")
    if suffix.startswith("."):
        return host.endswith(suffix)
    return host == suffix or host.endswith(f".{suffix}")


def _matches_network(rule: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(rule.strip("[]"), strict=False)
    except ValueError:
        return False


def _split_port(rule: str) -> tuple[str, str]:
    name, colon, port = rule.rpartition(":")
    if colon and port.isdigit() and (":" not in name or name.endswith("]")):
        return name.strip("[]"), port
    return rule.strip("[]"), ""
