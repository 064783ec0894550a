"""The facts of one refusal, with gaps in place of names: the input of the classifier.

A repository may be called `quota`, `x509` or `denied`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

GAP = "…"
HEX = r"[a-z0-9]{1,20}:[0-9a-f]{32,}"
TAIL = rf"(?::[\w][\w.-]*)?(?:@{HEX})?"
_URL = re.compile(r"https?://[^\s\"'<>]+")


class Stage(Enum):
    """The step that was refused; a case may have several: a tool also reads or pushes."""

    READING = "reading"
    PUSHING = "pushing"
    DELETING = "deleting"
    LOGIN = "login"
    CONNECTING = "connecting"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One refusal.

    `status` is the HTTP status, None if unknown; `code` the registry's error code in capitals;
    `words` the whole text, with gaps in place of names (see `without_names`). `is_page`: the answer
    is a web page; `by_proxy`: it came from a proxy. `media_type` is that of a manifest that was
    pushed, `foreign` the digests of its layers with `urls`.
    """

    stages: frozenset[Stage]
    words: str
    status: int | None = None
    code: str = ""
    is_page: bool = False
    by_proxy: bool = False
    registry: str = ""
    repository: str = ""
    media_type: str = ""
    foreign: tuple[str, ...] = ()

    @property
    def fields(self) -> Mapping[str, str]:
        """Return the values for the braces in sentences and hints."""
        project, _, image = self.repository.partition("/")
        return {
            "registry": self.registry,
            "host": re.sub(r":\d+$", "", self.registry) or "the registry",
            "repository": self.repository,
            "project": project,
            "image": image or project,
            "second": image.partition("/")[0] or project,
            "media_type": self.media_type or "this media type",
            "layers": ", ".join(self.foreign),
        }


def place_of(reference: str) -> tuple[str, str, str]:
    """Return registry, repository and tag of a reference; empty if it has none."""
    name = reference.partition("@")[0]
    tag = ""
    if ":" in name.rpartition("/")[2] and "/" in name:
        name, _, tag = name.rpartition(":")
    registry, _, repository = name.partition("/")
    return registry, repository, tag


def without_names(words: str, reference: str) -> str:
    """Return `words` with gaps for URLs and for names of `reference`.

    A name of one component is replaced only between quotes: else it could be any word.
    """
    text = _URL.sub(GAP, words)
    for name in names_of(reference):
        text = re.sub(re.escape(name) + TAIL, GAP, text)
    _, repository, tag = place_of(reference)
    for bare in filter(None, (repository, repository.rpartition("/")[2], tag)):
        text = re.sub(rf"(?<=[\"']){re.escape(bare)}(?=[\"':])", GAP, text)
    return text


def names_of(reference: str) -> Iterator[str]:
    """Yield the names of `reference` in a text that have a slash, longest first."""
    registry, repository, tag = place_of(reference)
    name = f"{registry}/{repository}"
    tagged = f"{name}:{tag}" if tag else name
    for text in (reference, tagged, name, repository):
        if "/" in text.strip("/"):
            yield text
