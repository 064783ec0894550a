"""`list-tags`: list the tags of one repository, in the order of their versions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from image_tools.commands.opening import Opening
from image_tools.oci.reference import Reference, tag_key
from image_tools.report import json_of

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTagsRequest:
    """The repository, and a pattern that the tags have to match anywhere; None matches all."""

    repository: Reference
    pattern: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TagList:
    """The matching tags, in order, and the number of all tags of the repository."""

    repository: str
    total: int
    tags: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that scripts rely on."""
        return {"schema": SCHEMA, "command": "list-tags", **json_of(self)}


def list_tags(request: ListTagsRequest, opening: Opening) -> TagList:
    """Return the tags of a repository; raise NotFound when the registry does not know it."""
    found = opening.run(_tags(request.repository, opening))
    pattern = request.pattern
    chosen = found if pattern is None else [tag for tag in found if pattern.search(tag)]
    return TagList(
        repository=request.repository.name,
        tags=tuple(sorted(chosen, key=tag_key)),
        total=len(found),
    )


async def _tags(repository: Reference, opening: Opening) -> tuple[str, ...]:
    return await opening.source(repository.registry).tags(repository.repository)
