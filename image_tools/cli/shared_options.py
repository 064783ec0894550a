"""Options that several commands have, each described once."""

from __future__ import annotations

from image_tools.cli import values
from image_tools.cli.options import Group, Note, Option


def switch(name: str, help: str, *, short: str = "") -> Option:
    """An option that is off unless it is named."""
    return Option(
        name=name, short=short, help=help, read=values.boolean, bare="true", default="false"
    )


def format_option(*choices: str) -> Option:
    """How the result is written; the first of `choices` unless told otherwise."""
    first, *more = choices
    return Option(
        name="format",
        metavar="FORMAT",
        help=f"write the result as a {first} or as {' or '.join(more)}",
        read=values.one_of(*choices),
        default=choices[0],
        choices=choices,
    )


FORMAT = format_option("table", "json")
DEBUG = switch("debug", "log every decision, every tool's command line and its output")
QUIET = switch("quiet", "show only warnings and failures", short="q")

SOURCE = Option(
    name="source",
    short="s",
    metavar="REGISTRY",
    help="take all images from REGISTRY, whatever the list says",
)
DESTINATION = Option(
    name="destination",
    short="d",
    metavar="REGISTRY",
    help="copy all images to REGISTRY; a path may follow: reg.example:5000/team",
)
DEFAULT_PROJECT = Option(
    name="default-project",
    metavar="PROJECT",
    help="project of destinations written without one",
    default="library",
)
SOURCE_PROJECT = Option(
    name="source-project",
    metavar="PROJECT",
    help="take all images from PROJECT: only the last part of their names stays",
)
DESTINATION_PROJECT = Option(
    name="destination-project",
    metavar="PROJECT",
    help="copy all images to PROJECT: only the last part of their names stays",
)
SKIP_INVALID = switch("skip-invalid", "only warn about lines that cannot be read")
ALLOW_EMPTY = switch("allow-empty", "accept a list without images: exit with 0")
ALLOW_UNKNOWN_PLATFORM = switch(
    "allow-unknown-platform", "also accept architectures and systems that Go does not know"
)

RETRY_TIMES = Option(
    name="retry-times",
    metavar="N",
    help="repeats after a failure that may pass",
    read=values.count,
    default="3",
)
RETRY_DELAY = Option(
    name="retry-delay",
    metavar="DURATION",
    help="pause before the first repeat; it grows with each",
    read=values.duration,
    default="1s",
)

TLS_VERIFY = Option(
    name="tls-verify",
    help="check the registry's certificate",
    read=values.boolean,
    bare="true",
    shown="true",
)
CA_FILE = Option(
    name="ca-file",
    metavar="FILE",
    help="also trust the certificate authorities in FILE (PEM)",
)
GETTING_IN = Group("Getting in", (TLS_VERIFY, CA_FILE, RETRY_TIMES, RETRY_DELAY))

SPELLING = Note(
    "Spelling",
    ("long options take one dash or two, values a blank or =: -debug, -jobs=4, --jobs 4, -j4",),
)
