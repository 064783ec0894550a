"""Optional features of a registry: learned from its answers, remembered for one run."""

from __future__ import annotations

from dataclasses import dataclass, field

from image_tools.errors import Unavailable
from image_tools.stores.remote.api import ApiAnswer

_PASSING = frozenset({502, 503, 504})


@dataclass(slots=True, eq=False)
class Capabilities:
    """The optional steps of the distribution spec that one registry supports, as far as known.

    Everything is supported until an answer says otherwise; temporary failures such as 503 change
    nothing. Each step has a fallback: GET for HEAD, the whole blob for a Range, an upload for a
    mount, the tag schema for the referrers API, PATCH and PUT for a single PUT, and no abort at
    all.

    `puts` is None until a single PUT with a body was answered; one of `puts_below` bytes or more
    was refused with `too_large`. `lists_referrers` once it has listed some. `no_referrers` are
    repositories whose referrers are not listed; `doubtful_referrers` says why, where that leaves
    open whether there are any (an empty name: all repositories). `no_mounts` are pairs of a
    repository and an origin it takes no blob from. `writable` are repositories that accepted an
    upload.
    """

    heads: bool = True
    blob_heads: bool = True
    ranges: bool = True
    mounts: bool = True
    aborts: bool = True
    referrers: bool = True
    lists_referrers: bool = False
    puts: bool | None = None
    puts_below: int | None = None
    too_large: ApiAnswer | None = None
    no_referrers: set[str] = field(default_factory=set)
    doubtful_referrers: dict[str, str] = field(default_factory=dict)
    no_mounts: set[tuple[str, str]] = field(default_factory=set)
    writable: set[str] = field(default_factory=set)

    def note_failing_head(
        self, error: Unavailable, *, blobs: bool = False, found: bool = True
    ) -> None:
        """Remember a HEAD that failed where a GET did not.

        502, 503 and 504 are temporary; with a 500 or a web page some servers answer a method they
        do not know. `found` is false when the GET found nothing either.
        """
        if not found or error.status in _PASSING:
            return
        if blobs:
            self.blob_heads = False
        else:
            self.heads = False
