"""All verbs, and the one that a command line means."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from image_tools.cli.options import Page
from image_tools.cli.verbs.archive_copies import ARCHIVE_EXPORT, ARCHIVE_MERGE
from image_tools.cli.verbs.archive_views import ARCHIVE_LS, ARCHIVE_VERIFY
from image_tools.cli.verbs.completion import completion_page
from image_tools.cli.verbs.convert_list import CONVERT_LIST
from image_tools.cli.verbs.delete import DELETE
from image_tools.cli.verbs.doctor import DOCTOR
from image_tools.cli.verbs.inspect import INSPECT
from image_tools.cli.verbs.inspect_list import INSPECT_LIST
from image_tools.cli.verbs.inventory import ARCHIVE_INVENTORY, INVENTORY
from image_tools.cli.verbs.list_tags import LIST_TAGS
from image_tools.cli.verbs.load import LOAD, LOAD_VALIDATE
from image_tools.cli.verbs.login import LOGIN, LOGOUT
from image_tools.cli.verbs.merge_manifest import MERGE_MANIFEST
from image_tools.cli.verbs.mirror import MIRROR, MIRROR_VALIDATE
from image_tools.cli.verbs.save import SAVE, SAVE_VALIDATE, SYNC
from image_tools.cli.verbs.serve import SERVE
from image_tools.cli.verbs.version import VERSION
from image_tools.errors import UsageError

PAGES: tuple[Page[Any], ...] = (
    MIRROR,
    MIRROR_VALIDATE,
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
    completion_page(lambda: PAGES),
    VERSION,
)


def page_of(words: Sequence[str]) -> tuple[Page[Any], tuple[str, ...]]:
    """Return the verb that `words` begin with and the words behind it.

    A name of two words goes before the one of its first word alone. UsageError for no verb.
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
