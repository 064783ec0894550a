"""All commands there are, and the one a command line means."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from image_tools.cli.options import Page
from image_tools.cli.pages import MIRROR, VERSION
from image_tools.cli.pages_archive import LOAD, SAVE, SYNC
from image_tools.cli.pages_archive_tools import (
    ARCHIVE_EXPORT,
    ARCHIVE_INVENTORY,
    ARCHIVE_LS,
    ARCHIVE_MERGE,
    ARCHIVE_VERIFY,
    INVENTORY,
)
from image_tools.cli.pages_archive_validate import LOAD_VALIDATE, SAVE_VALIDATE
from image_tools.cli.pages_around import (
    COMPLETION,
    CONVERT_LIST,
    DELETE,
    INSPECT,
    INSPECT_LIST,
    LIST_TAGS,
)
from image_tools.cli.pages_login import DOCTOR, LOGIN, LOGOUT
from image_tools.cli.pages_merge import MERGE_MANIFEST
from image_tools.cli.pages_serve import SERVE
from image_tools.cli.pages_validate import VALIDATE
from image_tools.errors import UsageError

PAGES = (
    MIRROR,
    VALIDATE,
    SAVE,
    SAVE_VALIDATE,
    SYNC,
    LOAD,
    LOAD_VALIDATE,
    ARCHIVE_LS,
    ARCHIVE_VERIFY,
    ARCHIVE_MERGE,
    ARCHIVE_EXPORT,
    ARCHIVE_INVENTORY,
    INVENTORY,
    SERVE,
    INSPECT,
    INSPECT_LIST,
    LIST_TAGS,
    DELETE,
    MERGE_MANIFEST,
    CONVERT_LIST,
    LOGIN,
    LOGOUT,
    DOCTOR,
    COMPLETION,
    VERSION,
)


def page_of(words: Sequence[str]) -> tuple[Page, tuple[str, ...]]:
    """The command that `words` begin with and the words behind it; UsageError for no command.

    A name of two words goes before the one of its first word alone.
    """
    first = words[0]
    if first.startswith("-"):
        raise UsageError(
            f"{first} stands before the command", advice=f"write image-tools COMMAND {first}"
        )
    names = {name: page for page in PAGES for name in (page.name, *page.aliases)}
    for count in (2, 1):
        name = " ".join(words[:count])
        if len(words) >= count and name in names:
            return names[name], tuple(words[count:])
    close = difflib.get_close_matches(first, names, n=1)
    hint = f", did you mean {close[0]}?" if close else ""
    raise UsageError(
        f"unknown command {first!r}{hint}", advice="image-tools help shows the commands"
    )
