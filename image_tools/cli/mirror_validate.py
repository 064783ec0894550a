"""`image-tools mirror-validate`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from image_tools.cli.list_command import setting_of
from image_tools.cli.list_runs import run_list
from image_tools.commands.validate import at_depth
from image_tools.errors import UsageError
from image_tools.run.validating import Validation
from image_tools.run.walking import Depth


def mirror_validate(options: Namespace, environ: Mapping[str, str]) -> int:
    """Compare what the options ask for with what is there; the exit code."""
    # Nothing is ever written: the failed list is wanted all the same.
    options.dry_run = False
    if "sample" in options.given and options.depth != "content":
        raise UsageError(
            "--sample is of no use without --depth content", advice="add it, or leave --sample out"
        )
    wish = Validation(depth=Depth(options.depth), sample=options.sample)
    return run_list(setting_of(options, environ), options, at_depth(wish))
