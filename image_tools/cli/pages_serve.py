"""`serve` as its users see it."""

from __future__ import annotations

from image_tools.cli import values
from image_tools.cli.foreign import OF_OTHERS
from image_tools.cli.options import Group, Note, Operand, Option, Page
from image_tools.cli.shared_options import DEBUG

SERVE = Page(
    name="serve",
    summary="let others pull from an archive: a registry that can only be read",
    about="Serve an archive as a read-only registry until it is stopped. An image is pulled as "
    "HOST:PORT/REGISTRY/REPOSITORY:TAG, or HOST:PORT/REPOSITORY:TAG where that is clear; as a "
    "containerd mirror it answers for every registry in the archive.",
    operands=(Operand(name="archive", metavar="FILE", help="the archive, a file or a folder"),),
    groups=(
        Group(
            "Options",
            (
                Option(
                    name="listen",
                    metavar="HOST:PORT",
                    help="where to listen; 0.0.0.0:5000 is open to other machines",
                    read=values.address,
                    once=True,
                    default="127.0.0.1:5000",
                ),
                Option(
                    name="htpasswd",
                    metavar="FILE",
                    help="let in only its users, passwords by bcrypt (htpasswd -B)",
                ),
                Option(name="tls-cert", metavar="FILE", help="serve HTTPS with this certificate"),
                Option(name="tls-key", metavar="FILE", help="the key of that certificate"),
                DEBUG,
            ),
        ),
        OF_OTHERS,
    ),
    notes=(
        Note(
            "Examples",
            (
                "image-tools serve saved-images.tar.gz",
                "image-tools serve saved-images.tar.gz --listen 0.0.0.0:5000 --htpasswd users",
            ),
        ),
        Note(
            "Exit codes",
            (
                "1    the archive is damaged",
                "2    the command line is wrong",
                "3    the address cannot be listened on",
                "130  stopped by Ctrl-C; 143 by SIGTERM",
            ),
        ),
    ),
)
