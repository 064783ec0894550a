"""The options that apply to every image: the part of a request that the engine needs."""

from __future__ import annotations

from dataclasses import dataclass

from image_tools.plan.selection import Selection
from image_tools.retry import RetryPolicy

# The content of a tag is decided differently since 1: images finished before are checked again.
_RULES = "rules2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a run; `timeout` in seconds for one image, None without limit.

    `key_id` stands for the key that signs what is copied; empty when nothing is signed.
    `pull_budget` is how many manifests of one registry may be read, None as many as it allows.
    `names_platforms` is False where an archive is loaded without --arch, --os and --variant.
    `require_platforms`: every named platform must exist; `keep_single`: a single image is published
    as it is; `look_behind`: unchanged tags are looked behind, and what is missing is copied.
    """

    selection: Selection = Selection()
    names_platforms: bool = True
    jobs: int = 1
    timeout: float | None = None
    retry: RetryPolicy = RetryPolicy()
    force: bool = False
    overwrite: bool = False
    missing_platform_fails: bool = False
    arch_tags: bool = False
    require_platforms: bool = False
    keep_single: bool = False
    look_behind: bool = False
    ahead: bool = True
    direct: bool = False
    dry_run: bool = False
    keep_digest: bool = False
    key_id: str = ""
    pull_budget: int | None = None
    wait_for_quota: bool = False

    @property
    def state_key(self) -> str:
        """Return the key under which a finished image is remembered: a run with another key looks
        again.
        """
        wishes = (
            ("+overwrite", self.overwrite),
            ("+arch-tags", self.arch_tags),
            ("+as-saved", not self.names_platforms),
            ("+require-platforms", self.require_platforms),
            ("+keep-single", self.keep_single),
            ("+keep-digest", self.keep_digest),
            (f"+signed-{self.key_id}", bool(self.key_id)),
        )
        named = self.selection.key + "".join(word for word, wished in wishes if wished)
        return f"{named}+{_RULES}"

    @property
    def waits_for_quota(self) -> bool:
        """Return whether the run waits for a pull limit; a plan is not worth that."""
        return self.wait_for_quota and not self.dry_run

    @property
    def flights(self) -> int:
        """Return how many blobs of one source may be on their way to one destination at once."""
        return min(24, 4 * self.jobs + 4)

    @property
    def dispatched(self) -> int:
        """Return how many images are worked on at once: some place their blobs while others copy.

        Without placing there is nothing to do ahead: more images would wait on their own time.
        """
        return min(40, 2 * self.jobs) if self.jobs > 1 and self.ahead else self.jobs
