"""How a docker-registry is to be, and the configuration file that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from tests.helpers.certificates import Certificates
from tests.helpers.endpoint import Login
from tests.helpers.token_server import TokenServer

IDENTITY_HEADER = "X-Lab-Registry"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryOptions:
    """How a registry is to be; the default is empty, open, plain HTTP.

    ``certificates`` turns TLS on, ``client_certificate`` demands one, ``login`` is an htpasswd
    user, ``token_server`` hands authorisation over to it. ``host`` is the loopback address it
    listens on, an IPv6 one in brackets. ``storage`` is that of another registry: the same content
    with nothing remembered, as after a restart. ``log_level`` ``info`` notes every answer with the
    client's address and port. ``program`` is another docker-registry than the installed one.
    """

    certificates: Certificates | None = None
    client_certificate: bool = False
    login: Login | None = None
    token_server: TokenServer | None = None
    delete_enabled: bool = True
    host: str = "127.0.0.1"
    storage: Path | None = None
    log_level: str = "error"
    program: Path | None = None


def configuration(
    folder: Path, options: RegistryOptions, port: int, identity: str
) -> dict[str, object]:
    """Give the configuration file's value; JSON is YAML, so it needs no YAML writer."""
    return {
        "version": "0.1",
        "log": {"level": options.log_level},
        "storage": {
            "filesystem": {
                "rootdirectory": str(options.storage or folder / "storage"),
                "maxthreads": 100,
            },
            "cache": {"blobdescriptor": "inmemory"},
            "delete": {"enabled": options.delete_enabled},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {
            "addr": f"{options.host}:{port}",
            "secret": identity,
            "headers": {IDENTITY_HEADER: [identity]},
            **_tls_section(options),
        },
        "compatibility": {"schema1": {"enabled": True}},
        **_auth_section(folder, options),
    }


def _tls_section(options: RegistryOptions) -> dict[str, object]:
    if options.certificates is None:
        return {}
    tls: dict[str, object] = {
        "certificate": str(options.certificates.server_certificate),
        "key": str(options.certificates.server_key),
    }
    if options.client_certificate:
        tls["clientcas"] = [str(options.certificates.authority)]
    return {"tls": tls}


def _auth_section(folder: Path, options: RegistryOptions) -> Mapping[str, object]:
    if options.token_server is not None:
        return {"auth": {"token": options.token_server.registry_section(folder / "tokens.crt")}}
    if options.login is None:
        return {}
    path = folder / "htpasswd"
    hashed = bcrypt.hashpw(options.login.password.encode(), bcrypt.gensalt(4)).decode()
    path.write_text(f"{options.login.username}:{hashed}\n")
    return {"auth": {"htpasswd": {"realm": "lab", "path": str(path)}}}
