"""Real docker-registry processes on loopback, started per test."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.helpers.access_log import MARKER, Request, parse_access_log
from tests.helpers.certificates import Certificates, issue_certificates
from tests.helpers.endpoint import LAB_LOGIN, Endpoint, Login
from tests.helpers.registry_options import IDENTITY_HEADER, RegistryOptions, configuration
from tests.helpers.token_server import TokenServer

START_SECONDS = 15.0
POLL_SECONDS = 0.01
PORT_ATTEMPTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A running docker-registry."""

    address: str
    folder: Path
    options: RegistryOptions
    endpoint: Endpoint
    pid: int
    _log_start: list[int] = field(default_factory=lambda: [0])
    _markers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def port(self) -> int:
        """Give the port it listens on."""
        return int(self.address.rpartition(":")[2])

    @property
    def storage(self) -> Path:
        """Give the folder of its repositories and blobs."""
        return self.options.storage or self.folder / "storage"

    @property
    def delete_enabled(self) -> bool:
        """Tell whether manifests and blobs may be deleted."""
        return self.options.delete_enabled

    def at(self, host: str) -> str:
        """Give ``host:port`` for another name of the loopback address."""
        return f"{host}:{self.port}"

    def requests(self) -> list[Request]:
        """Give every request answered since the start or the last `clear_log`, in log order."""
        self._settle()
        return list(parse_access_log(self._log()[self._log_start[0] :]))

    def clear_log(self) -> None:
        """Forget the requests answered until now."""
        self._settle()
        self._log_start[0] = len(self._log())

    def stored_blobs(self) -> frozenset[str]:
        """Give the digests of everything in the storage: blobs and manifests alike."""
        found = self.storage.glob("docker/registry/v2/blobs/sha256/*/*/data")
        return frozenset(f"sha256:{path.parent.name}" for path in found)

    def _log(self) -> str:
        return (self.folder / "access.log").read_text()

    def _settle(self) -> None:
        """Ask for a marked path and wait until it is logged: all before it is logged too."""
        mark = f"/v2/?{MARKER}={next(self._markers)} "
        _identity(self.endpoint, mark.strip())
        deadline = time.monotonic() + START_SECONDS
        while mark not in self._log():
            if time.monotonic() > deadline:
                raise TimeoutError("docker-registry did not log a request")
            time.sleep(POLL_SECONDS)


@contextmanager
def start_registry(options: RegistryOptions | None = None) -> Iterator[Registry]:
    """Run a docker-registry while the context lasts; its folder is removed afterwards."""
    chosen = options or RegistryOptions()
    with tempfile.TemporaryDirectory(prefix="lab-registry-") as name:
        folder = Path(name)
        process, port = _start(folder, chosen)
        try:
            endpoint = _endpoint(port, chosen)
            yield Registry(
                address=endpoint.address,
                folder=folder,
                options=chosen,
                endpoint=endpoint,
                pid=process.pid,
            )
        finally:
            process.kill()
            process.wait()


@contextmanager
def relaunched(registry: Registry, pid: int, *, after: float) -> Iterator[int]:
    """Kill a registry, which is `pid`; another process takes its place `after` seconds later."""
    os.kill(pid, signal.SIGKILL)
    time.sleep(after)
    process = _launch(registry.folder, registry.options.program)
    try:
        identity = json.loads((registry.folder / "config.yml").read_text())["http"]["secret"]
        assert _is_up(process, registry.endpoint, identity)
        yield process.pid
    finally:
        process.kill()
        process.wait()


@contextmanager
def plain_registry() -> Iterator[Registry]:
    """Run an open registry over plain HTTP."""
    with start_registry() as registry:
        yield registry


@contextmanager
def tls_registry(
    certificates: Certificates | None = None, *, client_certificate: bool = False
) -> Iterator[Registry]:
    """Run a registry over TLS with a private authority, a new one unless given."""
    with tempfile.TemporaryDirectory(prefix="lab-ca-") as name:
        used = certificates or issue_certificates(Path(name))
        options = RegistryOptions(certificates=used, client_certificate=client_certificate)
        with start_registry(options) as registry:
            yield registry


@contextmanager
def htpasswd_registry(
    login: Login = LAB_LOGIN, certificates: Certificates | None = None
) -> Iterator[Registry]:
    """Run a registry with basic authentication, over TLS when given certificates."""
    with start_registry(RegistryOptions(login=login, certificates=certificates)) as registry:
        yield registry


@contextmanager
def token_registry(
    token_server: TokenServer | None = None, certificates: Certificates | None = None
) -> Iterator[Registry]:
    """Run a registry that demands bearer tokens of the token server (a strict one by default)."""
    if token_server is None:
        with TokenServer() as own, token_registry(own, certificates) as registry:
            yield registry
        return
    options = RegistryOptions(token_server=token_server, certificates=certificates)
    with start_registry(options) as registry:
        yield registry


def free_port() -> int:
    """Give a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start(folder: Path, options: RegistryOptions) -> tuple[subprocess.Popen[bytes], int]:
    """Start on a free port, on another one when somebody was faster."""
    for _ in range(PORT_ATTEMPTS):
        port, identity = free_port(), secrets.token_hex(8)
        config = configuration(folder, options, port, identity)
        (folder / "config.yml").write_text(json.dumps(config))
        process = _launch(folder, options.program)
        if _is_up(process, _endpoint(port, options), identity):
            return process, port
        process.kill()
        process.wait()
    raise RuntimeError(f"docker-registry did not start: {(folder / 'error.log').read_text()}")


def _launch(folder: Path, chosen: Path | None) -> subprocess.Popen[bytes]:
    program = chosen or shutil.which("docker-registry")
    if program is None:
        raise FileNotFoundError("docker-registry is not installed: run scripts/setup")
    with (folder / "access.log").open("wb") as out, (folder / "error.log").open("wb") as error:
        return subprocess.Popen(
            [program, "serve", str(folder / "config.yml")],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=error,
            # It has so little in memory that collecting garbage would be half of its work.
            env={"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none", "GOGC": "800"},
            start_new_session=True,
        )


def _is_up(process: subprocess.Popen[bytes], endpoint: Endpoint, identity: str) -> bool:
    """Wait until this very process answers; False when it ended or another one answers."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return _identity(endpoint, f"/v2/?{MARKER}=start") == identity
        except (OSError, http.client.HTTPException):
            time.sleep(POLL_SECONDS)
    return False


def _identity(endpoint: Endpoint, target: str) -> str | None:
    if endpoint.tls is None:
        connection = http.client.HTTPConnection(endpoint.address, timeout=START_SECONDS)
    else:
        connection = http.client.HTTPSConnection(
            endpoint.address, timeout=START_SECONDS, context=endpoint.tls
        )
    try:
        connection.request("GET", target)
        return connection.getresponse().getheader(IDENTITY_HEADER)
    finally:
        connection.close()


def _endpoint(port: int, options: RegistryOptions) -> Endpoint:
    tls = None
    if options.certificates is not None:
        tls = options.certificates.client_context(with_client=options.client_certificate)
    login = options.login or (options.token_server.login if options.token_server else None)
    return Endpoint(address=f"{options.host}:{port}", tls=tls, login=login)
