"""A line of an image list: `SOURCE DESTINATION TAG`, or one `REFERENCE`.

In an archive, an image has the name that it has at its source: repository and tag, never a digest.
"""

from __future__ import annotations

from image_tools.errors import InvalidReference
from image_tools.imagelist.registries import Registries
from image_tools.oci.digest import Digest
from image_tools.oci.reference import PartialReference, Reference, parse_name, parse_tag
from image_tools.report import DEPTH_MARK

_COMMENT_SIGNS = ("#", "//")
BYTE_ORDER_MARK = "\ufeff"


def words(text: str) -> list[str]:
    """Return the words of a line before its comment; none if it is blank or only a comment.

    Any white space separates words, including no-break and ideographic spaces. `#` and `//` start a
    comment at the start of a word, where a reference cannot have them.
    """
    return _parted(text)[0]


def asks_to_look_behind(text: str) -> bool:
    """Return whether the comment of a line has the word `depth=tree`."""
    return any(word.lstrip("#/").rstrip(",;.") == DEPTH_MARK for word in _parted(text)[1])


def _parted(text: str) -> tuple[list[str], list[str]]:
    """Return the words before a comment, and those of the comment."""
    found = text.lstrip(BYTE_ORDER_MARK).split()
    for position, word in enumerate(found):
        if word.startswith(_COMMENT_SIGNS):
            return found[:position], found[position:]
    return found, []


def resolve(line_words: list[str], registries: Registries) -> tuple[Reference, Reference]:
    """Return source and destination of a line; raise InvalidReference with a correct example.

    One word: the destination has the path of the source, and its tag or `latest`. Three words: TAG
    is the tag of the destination, and of the source if it has neither tag nor digest.
    """
    source, destination = resolve_names(line_words, registries)
    _refuse_same(source, destination)
    return source, destination


def resolve_names(line_words: list[str], registries: Registries) -> tuple[Reference, Reference]:
    """Return what `resolve` does, but accept a destination that is the source."""
    _refuse_unreadable(line_words)
    if len(line_words) == 1:
        return _from_reference(line_words[0], registries)
    return _from_three_words(line_words, registries)


def resolve_source(line_words: list[str], registries: Registries) -> Reference:
    """Return the source of a line, even if its destination is unclear."""
    _refuse_unreadable(line_words)
    if len(line_words) == 3:
        return _from_three_words(line_words, registries)[0]
    stated = parse_name(line_words[0])
    tag = stated.tag or (None if stated.digest else "latest")
    return Reference(*registries.source_name(stated), tag, stated.digest)


def into_archive(line_words: list[str], registries: Registries) -> tuple[Reference, Reference]:
    """Return the source of a line, and its name in an archive."""
    source, destination = resolve_names(line_words, registries)
    return source, _archived(source, destination)


def out_of_archive(line_words: list[str], registries: Registries) -> tuple[Reference, Reference]:
    """Return the name in an archive of a line's source, and its destination.

    Raise InvalidReference if the destination is the source.
    """
    source, destination = resolve(line_words, registries)
    return _archived(source, destination), destination


def _from_reference(word: str, registries: Registries) -> tuple[Reference, Reference]:
    stated = parse_name(word)
    if stated.digest and not stated.tag:
        raise InvalidReference(
            f"a digest names no tag for the destination: write {_with_tag(word)!r},"
            f" or '{word} DESTINATION TAG'"
        )
    tag = stated.tag or "latest"
    path = PartialReference(registry=None, path=stated.path)
    return (
        Reference(*registries.source_name(stated), tag, stated.digest),
        Reference(*registries.destination_name(path), tag),
    )


def _from_three_words(line_words: list[str], registries: Registries) -> tuple[Reference, Reference]:
    source, destination, tag = parse_name(line_words[0]), parse_name(line_words[1]), line_words[2]
    if destination.tag or destination.digest:
        raise InvalidReference(
            f"DESTINATION {line_words[1]!r} has a tag or digest of its own:"
            " write the tag as third word only"
        )
    _refuse_digest(tag)
    parse_tag(tag)
    source_tag = source.tag if source.tag or source.digest else tag
    return (
        Reference(*registries.source_name(source), source_tag, source.digest),
        Reference(*registries.destination_name(destination), tag),
    )


def _refuse_unreadable(line_words: list[str]) -> None:
    if any("\0" in word or "\N{REPLACEMENT CHARACTER}" in word for word in line_words):
        raise InvalidReference("bytes that are not UTF-8 text: save the list as UTF-8")
    if len(line_words) not in (1, 3):
        raise InvalidReference(
            f"{len(line_words)} words: write SOURCE DESTINATION TAG, or one REFERENCE alone"
        )


def _refuse_digest(tag: str) -> None:
    try:
        Digest.parse(tag.lstrip("@"))
    except InvalidReference:
        return
    raise InvalidReference(
        f"TAG {tag!r} is a digest: write it behind SOURCE, SOURCE@DIGEST DESTINATION TAG"
    )


def _refuse_same(source: Reference, destination: Reference) -> None:
    if (source.name, source.tag) == (destination.name, destination.tag):
        raise InvalidReference(
            f"source and destination are both {destination}:"
            " give another destination, in the line or with -d"
        )


def _with_tag(word: str) -> str:
    name, _, digest = word.partition("@")
    return f"{name}:TAG@{digest}"


def _archived(source: Reference, destination: Reference) -> Reference:
    # A source with only a digest gets the tag of the destination.
    return source.with_tag(source.tag or destination.tag or "latest")
