"""The commands that look into archives and make archives of archives, as their users see them."""

from __future__ import annotations

from dataclasses import replace

from image_tools.cli.foreign import OF_OTHERS
from image_tools.cli.options import Group, Note, Operand, Option, Page
from image_tools.cli.pages import EXIT_CODES
from image_tools.cli.pages_archive import LOAD, SAVE, output_of
from image_tools.cli.shared_options import (
    ALLOW_EMPTY,
    DEBUG,
    DEFAULT_PROJECT,
    DESTINATION,
    FORMAT,
    GETTING_IN,
    SKIP_INVALID,
    SOURCE,
    switch,
)

_ARCHIVE = Operand(name="archive", metavar="FILE", help="the archive, a file or a folder")
_EXIT = (
    "0    everything is there",
    "1    something is damaged or missing",
    "2    the command line is wrong, or nothing lies there",
)


def _taken(page: Page, *names: str, **changes: Option) -> tuple[Option, ...]:
    known = {option.name: option for option in page.options}
    return tuple(changes.get(known[name].key, known[name]) for name in names)


ARCHIVE_LS = Page(
    name="archive ls",
    summary="list the images in an archive",
    about="List the images in an archive with their platforms, sizes and digests, from its tables "
    "alone: no layer is read.",
    operands=(_ARCHIVE,),
    groups=(
        Group("Options", (switch("json", "the same as --format json"), FORMAT, DEBUG)),
        OF_OTHERS,
    ),
    notes=(
        Note("Examples", ("image-tools archive ls images.tar.gz",)),
        Note("Exit codes", _EXIT),
    ),
)

ARCHIVE_VERIFY = Page(
    name="archive verify",
    summary="read all of an archive and check every digest",
    about="Read all of an archive once, hash every blob, and name what is damaged or missing, with "
    "the images that need it.",
    operands=(_ARCHIVE,),
    groups=(Group("Options", (FORMAT, DEBUG)), OF_OTHERS),
    notes=(
        Note("Examples", ("image-tools archive verify images.tar.gz",)),
        Note("Exit codes", _EXIT),
    ),
)

_OUTPUT = Option(
    name="output",
    short="o",
    metavar="FILE",
    help="write the inventory to FILE",
    shown="to standard output",
)

ARCHIVE_INVENTORY = Page(
    name="archive inventory",
    summary="write down what an archive holds, as a small file for save --base",
    about="Write down the images and the digests of all blobs in an archive: a small file that "
    "stands for it where only what is new is to be saved.",
    operands=(_ARCHIVE,),
    groups=(Group("Options", (_OUTPUT, DEBUG)),),
    notes=(
        Note("Examples", ("image-tools archive inventory images.tar.gz -o there.json",)),
        Note("Exit codes", _EXIT),
    ),
)

INVENTORY = Page(
    name="inventory",
    summary="write down what a registry holds of a list, as a small file for save --base",
    about="Write down which images of a list are at their destinations, and the digests of all "
    "their blobs: a small file that is carried to where save is to leave out what is here.",
    groups=(
        Group(
            "Options",
            (
                *_taken(SAVE, "file"),
                SOURCE,
                replace(DESTINATION, help="look at REGISTRY, where the images were loaded to"),
                DEFAULT_PROJECT,
                SKIP_INVALID,
                ALLOW_EMPTY,
                _OUTPUT,
                DEBUG,
            ),
        ),
        GETTING_IN,
    ),
    notes=(
        Note(
            "Examples",
            ("image-tools inventory -f list.txt -d registry.example:5000 -o there.json",),
        ),
        Note("Exit codes", _EXIT),
    ),
)

_NEW = _taken(
    SAVE,
    "destination",
    "compress",
    "part",
    "part-size",
    "replace",
    "yes",
    destination=replace(
        next(option for option in SAVE.options if option.name == "destination"),
        help="the archive to write, a new one or one to add to",
        shown="",
        required=True,
    ),
)
_WANTED = Group(
    "What to copy",
    _taken(
        LOAD, "arch", "os", "variant", "allow-unknown-platform", "provenance", "no-arch-os-fail"
    ),
)
_RUNNING = Group("Running", _taken(SAVE, "jobs", "wait-lock", "no-ahead", "no-download"))
_EMPTY = replace(ALLOW_EMPTY, help="accept archives without images")

ARCHIVE_EXPORT = Page(
    name="archive export",
    summary="copy images from one archive into another",
    about="Copy the images of a list, or all, from one archive into another one: a new one, or one "
    "that is there. Nothing is fetched from a registry.",
    groups=(
        Group(
            "The archives",
            (
                *_taken(LOAD, "source"),
                *_NEW,
                *_taken(
                    LOAD,
                    "file",
                    "skip-invalid",
                    "allow-empty",
                    file=replace(
                        next(option for option in LOAD.options if option.name == "file"),
                        help="copy only the images that the list in FILE names",
                    ),
                ),
            ),
        ),
        _WANTED,
        OF_OTHERS,
        _RUNNING,
        output_of("archive-export"),
    ),
    notes=(
        Note(
            "Examples",
            ("image-tools archive export -f list.txt -s images.tar.gz -d some.tar.gz",),
        ),
        EXIT_CODES,
    ),
)

ARCHIVE_MERGE = Page(
    name="archive merge",
    summary="put several archives together",
    about="Copy all images of several archives into one. Where two have the same tag, its "
    "platforms are put together, and those of the later archive count.",
    operands=(
        Operand(name="archives", metavar="FILE", help="the archives, in order", several=True),
    ),
    groups=(
        Group(
            "The archive",
            (replace(_NEW[0], name="output", short="o", aliases=()), *_NEW[1:], _EMPTY),
        ),
        _WANTED,
        replace(OF_OTHERS, options=OF_OTHERS.options[1:]),
        _RUNNING,
        Group("Output", tuple(o for o in output_of("archive-merge").options if o.name != "failed")),
    ),
    notes=(
        Note("Examples", ("image-tools archive merge monday.tar.gz friday.tar.gz -o week.tar.gz",)),
        EXIT_CODES,
    ),
)
