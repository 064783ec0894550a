"""What a request means for its run."""

from __future__ import annotations

from image_tools.commands.request import MirrorRequest
from image_tools.commands.trust import key_id
from image_tools.retry import RetryPolicy
from image_tools.run.options import Options


def options_of(request: MirrorRequest) -> Options:
    """The wishes of a run that `request` states; EnvironmentProblem when its key is unreadable."""
    return Options(
        selection=request.selection,
        names_platforms=request.names_platforms,
        jobs=request.jobs,
        timeout=request.timeout,
        retry=RetryPolicy(times=request.retries, delay=request.retry_delay),
        force=request.force,
        overwrite=request.overwrite,
        missing_platform_fails=request.missing_platform_fails,
        arch_tags=request.arch_tags,
        require_platforms=request.require_platforms,
        keep_single=request.keep_single,
        look_behind=request.look_behind,
        ahead=request.ahead,
        direct=request.direct,
        dry_run=request.dry_run,
        keep_digest=request.keep_digest,
        key_id=key_id(request.signing_key),
        pull_budget=request.pull_budget,
        wait_for_quota=request.wait_for_quota,
    )
