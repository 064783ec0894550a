"""`serve`: serve an archive as a read-only registry."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from image_tools.errors import EnvironmentProblem, UsageError
from image_tools.exchange.serving import ArchiveServer, read_htpasswd
from image_tools.machine.cancel import Cancel
from image_tools.machine.event_loop import LoopThread
from image_tools.stores.archive.opening import read_archive
from image_tools.stores.archive.others.cache import Foreign
from image_tools.web.tls import is_loopback

_STEP_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """The archive, the address and the protection; without `htpasswd` anyone may pull.

    `tls` is a certificate and its key in PEM, None for plain HTTP. With port 0 the system chooses
    one. `foreign` is how an archive of other programs is opened.
    """

    archive: Path
    host: str = "127.0.0.1"
    port: int = 5000
    htpasswd: Path | None = None
    tls: tuple[Path, Path] | None = None
    foreign: Foreign = Foreign()


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The address and the number of images; `warnings` are about who else can reach them."""

    address: str
    images: int
    warnings: tuple[str, ...] = ()


def serve(request: ServeRequest, on_ready: Callable[[Served], None], stopped: Cancel) -> int:
    """Serve until `stopped` is set, and return the number of bytes that were read.

    `on_ready` is called when the port is open. ArchiveDamaged, EnvironmentProblem or UsageError
    when the archive cannot be served.
    """
    tls = None if request.tls is None else _context(*request.tls)
    gate = None if request.htpasswd is None else read_htpasswd(request.htpasswd)
    archive = read_archive(request.archive, foreign=request.foreign)
    loop = LoopThread()
    try:
        serving = ArchiveServer(archive, gate)
        port = loop.submit(serving.start(request.host, request.port, tls)).result()
        host = f"[{request.host}]" if ":" in request.host else request.host
        served = Served(
            address=f"{host}:{port}", images=len(archive.images), warnings=_warnings(request)
        )
        try:
            on_ready(served)
            # In steps: the kernel may deliver a signal to another thread.
            while not stopped.wait(_STEP_SECONDS):
                pass
        finally:
            loop.submit(serving.stop()).result()
        return serving.traffic.bytes_read
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
