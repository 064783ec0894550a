"""`serve`: an archive as a read-only registry, for a cluster or a single pull."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from image_tools.errors import EnvironmentProblem, UsageError
from image_tools.exchange.serving import Serving, read_htpasswd
from image_tools.machine.cancel import Cancel
from image_tools.machine.event_loop import LoopThread
from image_tools.stores.archive.opening import read_archive
from image_tools.stores.archive.others.cache import Foreign

_HEARING = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """What is served, where and to whom: everybody without `htpasswd`, plain HTTP without `tls`.

    `tls` are a certificate and its key, PEM. Port 0 is one the system chooses.
    `foreign` is how an archive of others is opened.
    """

    archive: Path
    host: str = "127.0.0.1"
    port: int = 5000
    htpasswd: Path | None = None
    tls: tuple[Path, Path] | None = None
    foreign: Foreign = Foreign()


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What is served where; `warnings` say to whom it is open that one may not think of."""

    address: str
    images: int
    warnings: tuple[str, ...] = ()


def serve(request: ServeRequest, on_ready: Callable[[Served], None], stopped: Cancel) -> int:
    """Serve until `stopped` is set; the bytes that were read.

    `on_ready` hears when the port is open. ArchiveDamaged, EnvironmentProblem or UsageError when
    it cannot be served.
    """
    tls = None if request.tls is None else _context(*request.tls)
    gate = None if request.htpasswd is None else read_htpasswd(request.htpasswd)
    archive = read_archive(request.archive, foreign=request.foreign)
    loop = LoopThread()
    try:
        serving = Serving(archive, gate)
        port = loop.submit(serving.start(request.host, request.port, tls)).result()
        host = f"[{request.host}]" if ":" in request.host else request.host
        served = Served(
            address=f"{host}:{port}", images=len(archive.images), warnings=_warnings(request)
        )
        try:
            on_ready(served)
            # In steps: a signal that the kernel gave to another thread waits for this one.
            while not stopped.wait(_HEARING):
                pass
        finally:
            loop.submit(serving.stop()).result()
        return serving.account.bytes_read
    finally:
        loop.stop()
        archive.close()


def _warnings(request: ServeRequest) -> tuple[str, ...]:
    if is_loopback(request.host):
        return ()
    if request.htpasswd is None:
        return (f"everybody who reaches {request.host} can read all images (--htpasswd FILE)",)
    if request.tls is None:
        return ("passwords and images are sent in the clear (--tls-cert, --tls-key)",)
    return ()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise UsageError(
            f"{certificate}, {key}: no certificate and its key: {error.reason or error}",
            advice="both are PEM files, the key without a passphrase",
        ) from error
    except OSError as error:
        raise EnvironmentProblem(f"{certificate}, {key}: {error.strerror or error}") from error
    return context
