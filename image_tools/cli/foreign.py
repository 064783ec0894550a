"""How archives of other programs are opened: the options, and what they mean."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from image_tools.cli.options import Group, Option
from image_tools.cli.shared_options import switch
from image_tools.errors import InvalidReference
from image_tools.oci.reference import Reference
from image_tools.stores.archive.others.cache import Foreign

OF_OTHERS = Group(
    "Archives of other programs",
    (
        Option(
            name="name",
            metavar="NAME",
            help="the name of an image that has no full name in the archive: "
            "REPOSITORY[:TAG], with @DIGEST for one of several; may be repeated",
            read=lambda text: (text,),
            repeats=True,
        ),
        Option(
            name="cache",
            metavar="DIR",
            help="unpack in DIR what is not an archive of this program",
            shown="beside the archive",
        ),
        switch("keep-cache", "leave there what was unpacked"),
    ),
)


def foreign_of(options: Namespace, *, lenient: bool = False) -> Foreign:
    """What the options of `OF_OTHERS` ask for; InvalidReference for a name that is none.

    A list names the images it wants: those without a name may stay so beside it. Where it is
    `lenient` they may always.
    """
    try:
        names = tuple(Reference.parse(text) for text in options.name or ())
    except InvalidReference as error:
        raise InvalidReference(f"--name: {error}") from error
    cache = Path(options.cache) if options.cache else None
    lenient = lenient or bool(getattr(options, "file", None))
    return Foreign(cache=cache, keep_cache=options.keep_cache, names=names, lenient=lenient)
