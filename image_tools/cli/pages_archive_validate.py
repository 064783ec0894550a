"""The commands that compare archives with registries, as their users see them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from image_tools.cli.options import Group, Note, Option, Page
from image_tools.cli.pages import EXIT_CODES
from image_tools.cli.pages_archive import LOAD, SAVE, output_of
from image_tools.cli.pages_validate import VALIDATE

_DEPTH = next(group for group in VALIDATE.groups if group.title == "How deep to look")
_NEVER_IN_VALIDATE = frozenset(
    option.name
    for group in VALIDATE.groups
    if group.title.startswith("Of mirror")
    for option in group.options
) | {"part", "part-size", "replace", "repair", "yes"}


def _without_effect(command: str, options: Iterable[Option]) -> Group:
    text = f"accepted, so that the options of a {command} can be used again"
    return Group(
        f"Of {command}, without effect here",
        tuple(replace(option, help=text) for option in options),
    )


def _comparing(page: Page, name: str, depth: Group) -> tuple[Group, ...]:
    """The groups of `page` for the command `name` that only compares."""
    hidden = _NEVER_IN_VALIDATE | {"depth"}
    kept = (
        replace(group, options=tuple(o for o in group.options if o.name not in hidden))
        for group in page.groups
        if group.title != "Output"
    )
    dropped = (option for option in page.options if option.name in _NEVER_IN_VALIDATE)
    return (
        *(group for group in kept if group.options),
        depth,
        output_of(name),
        _without_effect(page.name, dropped),
    )


SAVE_VALIDATE = Page(
    name="save-validate",
    aliases=("save validate", "sync-validate", "sync validate"),
    summary="compare the images of a list with those in an archive",
    about="Check that an archive holds the images of a list as the options ask, by digest and "
    "platform of every entry. Nothing is written; images that differ are written to a list that "
    "save and sync take.",
    groups=_comparing(SAVE, "save-validate", _DEPTH),
    notes=(
        Note(
            "Examples",
            (
                "image-tools save-validate -f list.txt -d images.tar.gz",
                "image-tools save-validate -f list.txt -d images.tar.gz --depth content",
            ),
        ),
        EXIT_CODES,
    ),
)

LOAD_VALIDATE = Page(
    name="load-validate",
    aliases=("load validate",),
    summary="compare the images of an archive with those in a registry",
    about="Check that a registry holds the images of an archive as the options ask, by digest and "
    "platform of every entry. Nothing is written; images that differ are written to a list that "
    "load takes.",
    groups=_comparing(LOAD, "load-validate", _DEPTH),
    notes=(
        Note(
            "Examples",
            (
                "image-tools load-validate -s images.tar.gz -d reg.example:5000 -j 8",
                "image-tools load-validate -s saved-image-cache -d reg.example:5000 --depth tree",
                "image-tools load -s images.tar.gz -d reg.example:5000 -f load-validate-failed.txt",
            ),
        ),
        EXIT_CODES,
    ),
)
