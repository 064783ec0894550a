"""`image-tools serve`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from loguru import logger

from image_tools.cli.foreign import foreign_of
from image_tools.cli.reaching import start_logs
from image_tools.cli.request import readable_file
from image_tools.cli.text import counted
from image_tools.commands.serve import Served, ServeRequest
from image_tools.commands.serve import serve as served_until
from image_tools.errors import UsageError
from image_tools.machine.cancel import Cancel
from image_tools.machine.signals import die_now, listening


def serve(options: Namespace, environ: Mapping[str, str]) -> int:
    """Serve an archive until a signal stops it; 128 and the number of the signal."""
    start_logs(options, environ)
    host, port = options.listen
    request = ServeRequest(
        archive=Path(options.archive),
        host=host,
        port=port,
        htpasswd=readable_file("--htpasswd", options.htpasswd),
        tls=_tls(options),
        foreign=foreign_of(options),
    )
    # No threading.Event: its lock may be held by the very code that the signal interrupts.
    stopped = Cancel()
    heard: list[int] = []

    def stop(signal_number: int) -> None:
        heard.append(signal_number)
        stopped.set()

    def ready(served: Served) -> None:
        scheme = "http" if request.tls is None else "https"
        logger.info(
            "{}: {} at {}://{}",
            options.archive,
            counted(served.images, "image"),
            scheme,
            served.address,
        )
        for warning in served.warnings:
            logger.warning("{}", warning)

    with listening(stop, die_now(None)):
        sent = served_until(request, ready, stopped)
    logger.info("stopped; {:.1f} MB were sent", sent / 1e6)
    return 128 + heard[0]


def _tls(options: Namespace) -> tuple[Path, Path] | None:
    certificate = readable_file("--tls-cert", options.tls_cert)
    key = readable_file("--tls-key", options.tls_key)
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError("--tls-cert and --tls-key are needed both")
    return certificate, key
