"""Command line and input files of `docker buildx imagetools create` (0.11 and newer)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.manifest import Index

MAXIMUM_ENTRIES = 500


def create_argv(plugin: str, tag: str, files: Sequence[Path]) -> tuple[str, ...]:
    """Return the command line that pushes an index of the descriptors in `files`, in their order.

    `plugin` is the plugin's own binary: through `docker` it takes twice the time, and a private
    DOCKER_CONFIG would hide it. `tag` is `host/repository:tag`.
    """
    return (
        plugin,
        "imagetools",
        "create",
        "--progress",
        "plain",
        "--tag",
        tag,
        *(argument for file in files for argument in ("--file", str(file))),
    )


def descriptor_file(descriptor: Descriptor) -> bytes:
    """Return the content of a `--file`: all fields, so that buildx asks for nothing."""
    return json.dumps(descriptor.to_json(), ensure_ascii=False).encode()


def can_express(index: Index) -> str | None:
    """Return why buildx would not write exactly `index` from descriptors, None if it does.

    Each rule was measured on buildx 0.13.1 and 0.29.1, which would drop, complete from an image
    config, flatten, merge or escape these things without an error.
    """
    return next(
        (reason for reason in (_unfit_index(index), *map(_unfit_entry, index.entries)) if reason),
        None,
    )


def _unfit_index(index: Index) -> str | None:
    if not index.entries:
        return "the index has no entries"
    if len(index.entries) > MAXIMUM_ENTRIES:
        return f"the index has more than {MAXIMUM_ENTRIES} entries"
    if index.has_rare_fields:
        return "the index says more than its entries: annotations, a subject or an artifact type"
    if len({entry.digest for entry in index.entries}) < len(index.entries):
        return "two entries have one digest"
    if index.media_type != media.index_type_for(frozenset(e.media_type for e in index.entries)):
        return f"buildx would not choose the type {index.media_type} for these entries"
    return None


def _unfit_entry(entry: Descriptor) -> str | None:
    if entry.media_type not in media.MANIFESTS:
        return f"an entry has the type {entry.media_type or 'unknown'}"
    if entry.digest.algorithm != "sha256":
        return f"an entry's digest is a {entry.digest.algorithm}"
    if entry.has_rare_fields:
        return "an entry says more than buildx writes"
    if not (entry.platform.os and entry.platform.architecture):
        return "an entry does not state its whole platform"
    if any(_escaped(text) for text in _texts(entry)):
        return "an entry holds characters that buildx escapes"
    return None


def _texts(entry: Descriptor) -> tuple[str, ...]:
    where = entry.platform
    named = tuple(text for pair in entry.annotations for text in pair)
    stated = (where.os, where.architecture, where.variant, where.os_version, *where.os_features)
    return (*named, *stated, entry.artifact_type)


def _escaped(text: str) -> bool:
    """Return whether Go's JSON writer may spell `text` differently from Python's."""
    return not text.isprintable() or any(character in text for character in "<>&")
