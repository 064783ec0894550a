"""What is known of one refusal: the input of the classifier."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Stage(Enum):
    """What was under way. A case may have several: a tool also reads or pushes."""

    READING = "reading"
    PUSHING = "pushing"
    DELETING = "deleting"
    LOGIN = "login"
    CONNECTING = "connecting"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One refusal.

    `status` is the HTTP status, None where none is known; `code` the registry's error code in
    capitals; `words` all that was said, with gaps in place of names (see `without_names`).
    `is_page`: the answer is a web page; `by_proxy`: a proxy gave it. `media_type` is that of a
    manifest that was pushed, `foreign` the digests of its layers that have `urls`.
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
        """Return what a hint may name in braces."""
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
