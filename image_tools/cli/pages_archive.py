"""The commands that work with archives, as their users see them."""

from __future__ import annotations

from dataclasses import replace

from image_tools.cli import values
from image_tools.cli.foreign import OF_OTHERS
from image_tools.cli.options import Group, Note, Option, Page
from image_tools.cli.pages import EXIT_CODES, MIRROR
from image_tools.cli.shared_options import DEFAULT_PROJECT, SPELLING, switch

_FORMS = ("gzip", "zstd", "none", "dir")
_FILE = Option(
    name="file",
    short="f",
    metavar="FILE",
    help="read the image list from FILE, - is standard input",
    required=True,
)
_INTO = Option(
    name="destination",
    short="d",
    metavar="FILE",
    help="the archive, a file or a folder; by the ending of a new one's name its form is chosen",
    shown="saved-images.tar.gz, or by the form",
    stands_for="archive",
)
_OUT_OF = Option(
    name="source",
    short="s",
    metavar="FILE",
    help="the archive, a file or a folder",
    required=True,
    stands_for="archive",
)
_COMPRESS = Option(
    name="compress",
    short="c",
    metavar="FORM",
    help="form of a new archive: gzip, zstd or none for a file, dir for a folder",
    read=values.one_of(*_FORMS),
    shown="gzip",
    choices=_FORMS,
)
_BASE = Option(
    name="base",
    metavar="WHAT",
    help="leave out what is there already: an inventory, an archive, or REGISTRY[/PATH]",
)
_YES = replace(
    switch("yes", "do not ask before something is replaced", short="y"), aliases=("auto-yes",)
)
_REPLACE = switch("replace", "make the archive anew: what it holds and the list does not, goes")

_PART = (
    switch("part", "write a new archive in volumes, FILE.part1 and so on, that FAT32 can hold"),
    Option(
        name="part-size",
        metavar="SIZE",
        help="volumes of at most SIZE: 4G, 500M (in 1024s), 4GB (in 1000s), or bytes",
        read=values.size,
        shown="4G",
    ),
)
_REPAIR = switch("repair", "fetch again what the archive has lost, lost volumes too, nothing else")


def _picked(title: str, *names: str, **changes: Option) -> Group:
    """Options of `mirror` under one title; `changes` replace those of the same key."""
    known = {option.name: option for option in MIRROR.options}
    return Group(title, tuple(changes.get(known[n].key, known[n]) for n in names))


def _option(name: str) -> Option:
    return next(option for option in MIRROR.options if option.name == name)


_SAVE_LIST = _picked("The list", "source", "source-project", "skip-invalid", "allow-empty")
_SELECTED = (
    "arch",
    "os",
    "variant",
    "allow-unknown-platform",
    "provenance",
    "no-arch-os-fail",
    "require-platforms",
    "keep-single",
    "force",
    "overwrite",
)
_EVERYTHING = {name: replace(_option(name), default="all") for name in ("arch", "os")}
_OVERWRITE = replace(
    _option("overwrite"), help="leave only this run's platforms in the archive, do not merge"
)
_RUNNING = ("jobs", "timeout", "retry-times", "retry-delay")
_QUOTA = ("pull-budget", "wait-for-quota")
_WAIT = replace(
    _option("wait-lock"),
    help="wait while another run works on the same archive, without DURATION for ever",
)
_TOOLS = ("no-ahead", "direct", "no-download")
_FROM_REGISTRY = _picked(
    "Getting in",
    "tls-verify",
    "ca-file",
    "policy",
    "insecure-policy",
    tls_verify=replace(_option("tls-verify"), help="check the certificates of the sources"),
)
_TO_REGISTRY = _picked(
    "Getting in",
    "tls-verify",
    "ca-file",
    "skip-login",
    tls_verify=replace(_option("tls-verify"), help="check the certificate of the destination"),
)
_KEPT_BESIDE = _picked("Signatures", "remove-signatures", "keep-digest")


def output_of(command: str) -> Group:
    """The options about results of `command`, whose failed list has its name."""
    failed = replace(_option("failed"), default=f"{command}-failed.txt")
    return _picked(
        "Output", "failed", "report", "format", "all-rows", "quiet", "debug", failed=failed
    )


def _with(group: Group, *more: Option, first: bool = False) -> Group:
    options = (*more, *group.options) if first else (*group.options, *more)
    return replace(group, options=options)


_SAVE_SELECTION = _picked("What to save", *_SELECTED, "dry-run", overwrite=_OVERWRITE)
_LOAD_SELECTION = _picked(
    "What to load", *_SELECTED, "depth", "arch-tags", "dry-run", **_EVERYTHING
)

SAVE = Page(
    name="save",
    summary="save the images of a list into an archive",
    about="Save the images of a list into an archive, one file or a folder, that load brings into "
    "a registry elsewhere and that other tools can read (OCI image layout). Running again goes on: "
    "what has arrived is not fetched again, and what is in the archive and unchanged costs one "
    "request. Images of the archive that the list does not name stay, unless --replace is given.",
    groups=(
        _with(_SAVE_LIST, _FILE, first=True),
        Group("The archive", (_INTO, _COMPRESS, *_PART, _BASE, _REPLACE, _REPAIR, _YES)),
        _SAVE_SELECTION,
        _with(_picked("Running", *_RUNNING, *_QUOTA, *_TOOLS), _WAIT),
        _FROM_REGISTRY,
        _KEPT_BESIDE,
        output_of("save"),
    ),
    notes=(
        Note(
            "Examples",
            (
                "image-tools save -f list.txt -d images.tar.gz -j 4",
                "image-tools save -f list.txt -d images.tar.zst --arch all --os all",
                "image-tools save -f list.txt --compress dir -d saved-image-cache",
                "image-tools save -f list.txt -d images.tar.gz --part-size 4G",
                "image-tools save -f list.txt -d images.tar.gz --repair",
                "image-tools save -f save-failed.txt -d images.tar.gz",
                "image-tools save -f list.txt -d friday.tar.gz --base monday.tar.gz",
            ),
        ),
        SPELLING,
        EXIT_CODES,
    ),
)

SYNC = Page(
    name="sync",
    summary="add the images of a list to an archive that is there",
    about="Add to an archive what it lacks of the images of a list, or has in another version, "
    "without writing again what it holds. The archive is as it was until the end, and then whole.",
    groups=(
        _with(_SAVE_LIST, _FILE, first=True),
        Group("The archive", (replace(_INTO, help="the archive", shown="", required=True),)),
        _SAVE_SELECTION,
        _with(_picked("Running", *_RUNNING, *_QUOTA, *_TOOLS), _WAIT),
        _FROM_REGISTRY,
        _KEPT_BESIDE,
        output_of("sync"),
    ),
    notes=(
        Note("Examples", ("image-tools sync -f more.txt -d images.tar.gz",)),
        EXIT_CODES,
    ),
)

LOAD = Page(
    name="load",
    summary="load the images of an archive into a registry",
    about="Load the images of an archive, all of them or those of a list, into a registry. Nothing "
    "is unpacked, and every digest is checked before it is there. Running again goes on: what is "
    "there already is not sent again. Archives of docker save, skopeo, crane, oras and of this "
    "program's predecessor are loaded, too, through a private folder.",
    groups=(
        Group(
            "The archive",
            (
                _OUT_OF,
                replace(
                    _COMPRESS,
                    help="accepted; the form is told by the content",
                    shown="",
                ),
                replace(
                    _FILE, help="load only the images that the list in FILE names", required=False
                ),
                Option(
                    name="source-registry",
                    metavar="REGISTRY",
                    help="look for the images of that list under REGISTRY, whatever the list says",
                ),
                _option("skip-invalid"),
                replace(
                    _option("allow-empty"),
                    help="accept a list or an archive without images: exit with 0",
                ),
            ),
        ),
        Group(
            "The registry",
            (
                _option("destination"),
                DEFAULT_PROJECT,
                Option(
                    name="project",
                    aliases=("destination-project",),
                    metavar="PROJECT",
                    help="load all images into PROJECT: only the last part of their names stays",
                ),
            ),
        ),
        _LOAD_SELECTION,
        OF_OTHERS,
        _picked("Harbor", "repo-type", "harbor-https", "harbor-public"),
        _picked("Running", *_RUNNING, "state", "no-state", "wait-lock", "no-ahead", "no-download"),
        _TO_REGISTRY,
        _picked(
            "Signatures",
            "remove-signatures",
            "keep-digest",
            "sigstore-private-key",
            "sigstore-passphrase-file",
        ),
        output_of("load"),
    ),
    notes=(
        Note(
            "Examples",
            (
                "image-tools load -s images.tar.gz -d reg.example:5000 -j 4",
                "image-tools load -s saved-image-cache -d reg.example:5000/team -f list.txt",
                "image-tools load -s images.tar.gz -d harbor.example --repo-type harbor",
                "image-tools load -s images.tar.gz -d reg.example:5000 -f load-failed.txt",
            ),
        ),
        SPELLING,
        EXIT_CODES,
    ),
)
