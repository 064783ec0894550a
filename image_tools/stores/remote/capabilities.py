"""What a registry turned out to be able to do: learned from its answers, kept for one run."""

from __future__ import annotations

from dataclasses import dataclass, field

from image_tools.errors import Unavailable
from image_tools.stores.remote.questions import Answer

_PASSING = frozenset({502, 503, 504})


@dataclass(slots=True, eq=False)
class Capabilities:
    """The optional steps of the distribution spec that one registry takes, as far as is known.

    All of them at first; what may pass, such as a 503, changes nothing.

    Each has a plain way: GET for a HEAD, the whole blob for a Range, an upload for a mount, the
    tag schema for the referrers API, PATCH and PUT for a single PUT, leaving it for an abort.

    `puts` is None until a single PUT with a body was answered; one of `puts_below` bytes or more
    was refused as `too_large`. `lists_referrers` once it has listed some. `no_referrers` are
    repositories whose referrers are not listed, `doubtful_referrers` why, where that leaves open
    whether there are any (all repositories: under an empty name). `no_mounts` are pairs of a
    repository and an origin it takes no blob from. `writable` are repositories that took the
    beginning of an upload.
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
    too_large: Answer | None = None
    no_referrers: set[str] = field(default_factory=set)
    doubtful_referrers: dict[str, str] = field(default_factory=dict)
    no_mounts: set[tuple[str, str]] = field(default_factory=set)
    writable: set[str] = field(default_factory=set)

    def note_failing_head(
        self, error: Unavailable, *, blobs: bool = False, found: bool = True
    ) -> None:
        """Remember a HEAD that failed where a GET did not.

        502, 503 and 504 pass; a 500, or a web page, is how some answer a question they do not know.
        """
        if not found or error.status in _PASSING:
            return
        if blobs:
            self.blob_heads = False
        else:
            self.heads = False
