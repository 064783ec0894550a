"""Options that several verbs have, each described once, and the texts their pages share."""

from __future__ import annotations

from image_tools.cli import values
from image_tools.cli.options import VerbOptions, note, option, switch, word

REGISTRY_NAMES = "tls-verify ca-file retry-times retry-delay"  # the group "Getting in"
PLATFORM_NAMES = "arch os variant allow-unknown-platform provenance no-arch-os-fail"
FOREIGN_NAMES = "name cache keep-cache"
FOREIGN_TITLE = "Archives of other programs"

SPELLING = note(
    "Spelling",
    "long options take one dash or two, values a blank or =: -debug, -jobs=4, --jobs 4, -j4",
)
READ_LOGIN = note(
    "Environment",
    "SOURCE_USERNAME, SOURCE_PASSWORD    login, for SOURCE_REGISTRY where that is set",
    "DOCKER_USERNAME, DOCKER_PASSWORD    login for DOCKER_REGISTRY alone",
    "REGISTRY_AUTH_FILE                  login file, else podman's and docker's",
)
IMAGE = (
    "the image: REGISTRY/REPOSITORY:TAG, or @sha256:... behind it; docker.io and latest "
    "may be left out"
)
ARCHIVE = "the archive, a file or a folder"
ARCHIVE_EXIT_CODES = note(
    "Exit codes",
    "0    everything is there",
    "1    something is damaged or missing",
    "2    the command line is wrong, or nothing lies there",
)


class LogOptions(VerbOptions):
    """How much is logged."""

    debug: bool = switch("log every decision, every tool's command line and its output")


class FormatOptions(LogOptions):
    """How the result is written."""

    format: str = word(
        "write the result as a table or as json", "table", "json", metavar="FORMAT", default="table"
    )


class RegistryOptions(LogOptions):
    """How registries are asked: certificates, and repeats with their delay in seconds."""

    tls_verify: bool | None = option(
        "check the registry's certificate", read=values.boolean, bare="true", shown="true"
    )
    ca_file: str | None = option(
        "also trust the certificate authorities in FILE (PEM)", metavar="FILE"
    )
    retry_times: int = option(
        "repeats after a failure that may pass", read=values.count, default="3", metavar="N"
    )
    retry_delay: float = option(
        "pause before the first repeat; it grows with each",
        read=values.duration,
        default="1s",
        metavar="DURATION",
    )


class SourceOptions(VerbOptions):
    """The source of the lines of a list."""

    source: str | None = option(
        "take all images from REGISTRY, whatever the list says", short="s", metavar="REGISTRY"
    )


class DestinationOptions(VerbOptions):
    """The destination of the lines of a list."""

    destination: str | None = option(
        "copy all images to REGISTRY; a path may follow: reg.example:5000/team",
        short="d",
        metavar="REGISTRY",
    )
    default_project: str = option(
        "project of destinations written without one", default="library", metavar="PROJECT"
    )


class EndOptions(SourceOptions, DestinationOptions):
    """Both ends of the lines of a list."""


class ListOptions(VerbOptions):
    """Which list is read, and what of its faults is accepted."""

    file: str | None = option(
        "read the image list from FILE, - is standard input", short="f", metavar="FILE"
    )
    skip_invalid: bool = switch("only warn about lines that cannot be read")
    allow_empty: bool = switch("accept a list without images: exit with 0")


class PlatformOptions(VerbOptions):
    """The platforms of each image."""

    arch: tuple[str, ...] = option(
        "architectures to copy, or all",
        read=values.words,
        default="amd64,arm64",
        repeats=True,
        short="a",
        metavar="ARCH,...",
    )
    os: tuple[str, ...] = option(
        "operating systems to copy, or all",
        read=values.words,
        default="linux",
        repeats=True,
        metavar="OS,...",
    )
    variant: tuple[str, ...] | None = option(
        "variants to copy, such as v7",
        read=values.words,
        repeats=True,
        metavar="VARIANT,...",
        shown="all",
    )
    allow_unknown_platform: bool = switch(
        "also accept architectures and systems that Go does not know"
    )
    provenance: bool = option(
        "attestations of the copied platforms come along",
        read=values.boolean,
        bare="true",
        default="true",
    )
    no_arch_os_fail: bool = switch("an image without any wanted platform fails, it is not skipped")


class ResultOptions(FormatOptions):
    """How the result of a run over a list is shown."""

    report: str | None = option("write a report to FILE (JSON)", metavar="FILE")
    all_rows: bool = switch("show unchanged images one by one, however many they are")
    quiet: bool = switch("show only warnings and failures", short="q")


class CacheOptions(VerbOptions):
    """Where archives of other programs are unpacked."""

    cache: str | None = option(
        "unpack in DIR what is not an archive of this program",
        metavar="DIR",
        shown="beside the archive",
    )
    keep_cache: bool = switch("leave there what was unpacked")


class ForeignOptions(CacheOptions):
    """How archives of other programs are read."""

    name: tuple[str, ...] | None = option(
        "the name of an image that has no full name in the archive: "
        "REPOSITORY[:TAG], with @DIGEST for one of several; may be repeated",
        read=lambda text: (text,),
        repeats=True,
        metavar="NAME",
    )
