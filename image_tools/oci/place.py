"""One key for all ways to write the name of a registry or repository."""

from __future__ import annotations

import ipaddress

from image_tools.oci.reference import DOCKER_HUB, DOCKER_HUB_ALIASES, Reference, on_registry

PlaceKey = tuple[str, str]
_HUB_HOSTS = frozenset({*DOCKER_HUB_ALIASES, "registry.hub.docker.com"})
_LOCALHOST = "localhost"
# For a program on this machine, all of these reach the same server.
_LOCAL_ADDRESSES = frozenset({"127.0.0.1", "::1", "0.0.0.0", "::"})
_DEFAULT_PORT = 443


def registry_key(registry: str) -> str:
    """Return the same text for all names of one registry.

    Case, the default port, the aliases of docker.io and the names of this machine make no
    difference. Names are not resolved, so two hosts may still be the same registry.
    """
    host, port = _split(registry.lower())
    host = _canonical(host.rstrip("."))
    if host == _LOCALHOST:
        return f"{host}:{port or _DEFAULT_PORT}"
    return host if port in (None, _DEFAULT_PORT) else f"{host}:{port}"


def place_key(registry: str, repository: str) -> PlaceKey:
    """Return the same key for all names of one repository."""
    key = registry_key(registry)
    return key, on_registry(key, repository)


def key_of(reference: Reference) -> PlaceKey:
    """Return the key of the repository of `reference`."""
    return place_key(reference.registry, reference.repository)


def _split(registry: str) -> tuple[str, int | None]:
    host, colon, port = registry.rpartition(":")
    if not colon or not port.isdigit():
        return registry, None
    return host, int(port)


def _canonical(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return DOCKER_HUB if host in _HUB_HOSTS else host
    mapped = getattr(address, "ipv4_mapped", None)
    text = str(mapped or address)
    return _LOCALHOST if text in _LOCAL_ADDRESSES else text
