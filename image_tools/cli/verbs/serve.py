"""`image-tools serve`: an archive as a registry that can only be read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from image_tools.cli import values
from image_tools.cli.options import Page, group, note, operand, option
from image_tools.cli.shared_options import (
    ARCHIVE,
    FOREIGN_NAMES,
    FOREIGN_TITLE,
    ForeignOptions,
    LogOptions,
)
from image_tools.cli.text import counted
from image_tools.errors import UsageError


class ServeOptions(ForeignOptions, LogOptions):
    """The options of `serve`; `listen` is a host and a port."""

    archive: str = operand("FILE", ARCHIVE)
    listen: tuple[str, int] = option(
        "where to listen; 0.0.0.0:5000 is open to other machines",
        read=values.address,
        once=True,
        default="127.0.0.1:5000",
        metavar="HOST:PORT",
    )
    htpasswd: str | None = option(
        "let in only its users, passwords by bcrypt (htpasswd -B)", metavar="FILE"
    )
    tls_cert: str | None = option("serve HTTPS with this certificate", metavar="FILE")
    tls_key: str | None = option("the key of that certificate", metavar="FILE")


def serve(options: ServeOptions, environ: Mapping[str, str]) -> int:
    """Serve an archive until a signal stops it; return 128 plus the number of the signal."""
    from loguru import logger

    from image_tools.cli.logs import start_logs
    from image_tools.cli.reaching import foreign_of, readable_file
    from image_tools.commands.serve import Served, ServeRequest
    from image_tools.commands.serve import serve as served_until
    from image_tools.machine.cancel import Cancel
    from image_tools.machine.signals import die_now, listening

    start_logs(options, environ)
    host, port = options.listen
    request = ServeRequest(
        archive=Path(options.archive),
        host=host,
        port=port,
        htpasswd=readable_file("--htpasswd", options.htpasswd),
        tls=_tls(options),
        foreign=foreign_of(options, options.name, lenient=False),
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


def _tls(options: ServeOptions) -> tuple[Path, Path] | None:
    """Return the files of the certificate and of its key, None to serve plain HTTP."""
    from image_tools.cli.reaching import readable_file

    certificate = readable_file("--tls-cert", options.tls_cert)
    key = readable_file("--tls-key", options.tls_key)
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError("--tls-cert and --tls-key are needed both")
    return certificate, key


SERVE = Page(
    name="serve",
    kind=ServeOptions,
    run=serve,
    summary="let others pull from an archive: a registry that can only be read",
    about="Serve an archive as a read-only registry until it is stopped. An image is pulled as "
    "HOST:PORT/REGISTRY/REPOSITORY:TAG, or HOST:PORT/REPOSITORY:TAG where that is clear; as a "
    "containerd mirror it answers for every registry in the archive.",
    groups=(
        group("Options", ServeOptions, "listen htpasswd tls-cert tls-key debug"),
        group(FOREIGN_TITLE, ServeOptions, FOREIGN_NAMES),
    ),
    notes=(
        note(
            "Examples",
            "image-tools serve saved-images.tar.gz",
            "image-tools serve saved-images.tar.gz --listen 0.0.0.0:5000 --htpasswd users",
        ),
        note(
            "Exit codes",
            "1    the archive is damaged",
            "2    the command line is wrong",
            "3    the address cannot be listened on",
            "130  stopped by Ctrl-C; 143 by SIGTERM",
        ),
    ),
)
