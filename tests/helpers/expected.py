"""What a default run of `mirror` has to bring, worked out without the program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.helpers.content import Entry, Image


def wanted_entries(image: Image) -> list[Entry]:
    """Give the entries a default run keeps: linux on amd64 and arm64, and what attests them.

    Where no platform is left out nothing is: the image keeps its bytes.
    """
    platforms = [entry for entry in image.leaves if entry.subject is None]
    kept = [
        entry
        for entry in image.leaves
        if entry.subject is None
        and (entry.true_platform or {}).get("os") == "linux"
        and (entry.true_platform or {}).get("architecture") in ("amd64", "arm64")
    ]
    if kept == platforms:
        return list(image.leaves)
    digests = {entry.digest for entry in kept}
    return [entry for entry in image.leaves if entry in kept or entry.subject in digests]


def rows(entries: Iterable[Entry]) -> list[tuple[Any, ...]]:
    """Give what two indexes have to agree on, entry by entry."""
    return [
        (e.digest, e.media_type, e.size, dict(e.true_platform or {}), dict(e.annotations))
        for e in entries
    ]
