"""The commands that compare, as their users see them."""

from __future__ import annotations

from dataclasses import replace

from image_tools.cli import values
from image_tools.cli.options import Group, Note, Option, Page
from image_tools.cli.pages import EXIT_CODES, MIRROR


def _named(groups: tuple[Group, ...], *names: str) -> tuple[Option, ...]:
    options = {option.name: option for group in groups for option in group.options}
    return tuple(options[name] for name in names)


_DEPTH = Group(
    "How deep to look",
    (
        Option(
            name="depth",
            metavar="DEPTH",
            help="digest compares indexes; tree also looks for every manifest and blob behind "
            "them; content also reads and hashes the blobs",
            read=values.one_of("digest", "tree", "content"),
            default="digest",
            choices=("digest", "tree", "content"),
        ),
        Option(
            name="sample",
            metavar="PERCENT",
            help="read only this part of the blobs at depth content",
            read=values.percentage,
            default="100%",
        ),
    ),
)
_WITHOUT_EFFECT = Group(
    "Of mirror, without effect here",
    tuple(
        replace(option, help="accepted, so that the options of a mirror can be used again")
        for option in _named(
            MIRROR.groups,
            "force",
            "arch-tags",
            "dry-run",
            "state",
            "no-state",
            "wait-lock",
            "no-ahead",
            "direct",
            "no-download",
            "skip-login",
            "policy",
            "insecure-policy",
            "remove-signatures",
            "keep-digest",
            "sigstore-private-key",
            "sigstore-passphrase-file",
        )
    ),
)
_KEPT = frozenset(option.name for option in _WITHOUT_EFFECT.options)


def _validating(group: Group) -> Group:
    """A group of `mirror` as `mirror-validate` has it."""
    failed = "mirror-validate-failed.txt"
    options = (option for option in group.options if option.name not in _KEPT | {"depth"})
    return replace(
        group,
        options=tuple(
            replace(option, default=failed) if option.name == "failed" else option
            for option in options
        ),
    )


VALIDATE = Page(
    name="mirror-validate",
    aliases=("mirror validate",),
    summary="compare the images of a list with their destinations",
    about="Check that the destinations hold the images of a list as the options ask, by digest and "
    "platform of every entry. No registry is written to; images that differ are written to a list "
    "that mirror takes.",
    groups=(
        *(group for group in map(_validating, MIRROR.groups) if group.options),
        _DEPTH,
        _WITHOUT_EFFECT,
    ),
    notes=(
        Note(
            "Examples",
            (
                "image-tools mirror-validate -f list.txt -d reg.example:5000 -j 8",
                "image-tools mirror-validate -f list.txt -d reg.example:5000 --depth tree",
                "image-tools mirror-validate -f list.txt -d reg.example:5000 --depth content "
                "--sample 5%",
                "image-tools mirror -f mirror-validate-failed.txt -d reg.example:5000",
            ),
        ),
        EXIT_CODES,
    ),
)
