"""Gaps in place of names: a repository may be called `quota`, `x509` or `denied`."""

from __future__ import annotations

import re
from collections.abc import Iterator

GAP = "…"
HEX = r"[a-z0-9]{1,20}:[0-9a-f]{32,}"
TAIL = rf"(?::[\w][\w.-]*)?(?:@{HEX})?"
_URL = re.compile(r"https?://[^\s\"'<>]+")


def place_of(reference: str) -> tuple[str, str, str]:
    """Return registry, repository and tag of a reference as people write it."""
    name = reference.partition("@")[0]
    tag = ""
    if ":" in name.rpartition("/")[2] and "/" in name:
        name, _, tag = name.rpartition(":")
    registry, _, repository = name.partition("/")
    return registry, repository, tag


def without_names(words: str, reference: str) -> str:
    """Return `words` with gaps for URLs and for whatever may name `reference`.

    A name of one component is cut out only between quotes: bare, it could be a word of the server.
    """
    text = _URL.sub(GAP, words)
    for name in names_of(reference):
        text = re.sub(re.escape(name) + TAIL, GAP, text)
    _, repository, tag = place_of(reference)
    for bare in filter(None, (repository, repository.rpartition("/")[2], tag)):
        text = re.sub(rf"(?<=[\"']){re.escape(bare)}(?=[\"':])", GAP, text)
    return text


def names_of(reference: str) -> Iterator[str]:
    """Yield what a text may call `reference`, longest first; only what has a slash."""
    registry, repository, tag = place_of(reference)
    name = f"{registry}/{repository}"
    tagged = f"{name}:{tag}" if tag else name
    for text in (reference, tagged, name, repository):
        if "/" in text.strip("/"):
            yield text
