"""What stays under a destination's tag without having been chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An entry of the destination's index that the run did not choose and the source has not now.

    `since` is when a run first found it so, ISO 8601 in UTC; empty where that is not known.
    """

    platform: str
    digest: str
    since: str = ""

    def to_json(self) -> dict[str, Any]:
        """This entry as a JSON object; an unknown `since` is null."""
        return {"platform": self.platform, "digest": self.digest, "since": self.since or None}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Kept:
        """Return the entry that `to_json` wrote; KeyError or TypeError when it did not."""
        platform, digest = fields["platform"], fields["digest"]
        return cls(platform=platform, digest=digest, since=fields.get("since") or "")
