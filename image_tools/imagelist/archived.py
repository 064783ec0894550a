"""What a line of a list means where one end is an archive.

In an archive an image has the name it has at its source: repository and tag, never a digest.
"""

from __future__ import annotations

from image_tools.imagelist.line import resolve, resolve_names
from image_tools.imagelist.registries import Registries
from image_tools.oci.reference import Reference


def into_archive(line_words: list[str], registries: Registries) -> tuple[Reference, Reference]:
    """The source of a line, and its name in an archive; the line's destination does not matter."""
    source, destination = resolve_names(line_words, registries)
    return source, _archived(source, destination)


def out_of_archive(line_words: list[str], registries: Registries) -> tuple[Reference, Reference]:
    """The name of a line's source in an archive, and its destination.

    InvalidReference when the line says nowhere else to put it.
    """
    source, destination = resolve(line_words, registries)
    return _archived(source, destination), destination


def _archived(source: Reference, destination: Reference) -> Reference:
    # A source that is only known by its digest has the tag that the line gives it.
    return source.with_tag(source.tag or destination.tag or "latest")
