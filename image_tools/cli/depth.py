"""How deep a comparison looks, as its options say."""

from __future__ import annotations

from argparse import Namespace

from image_tools.errors import UsageError
from image_tools.run.deep_walk import Depth
from image_tools.run.validation import Validation


def wished_depth(options: Namespace) -> Validation:
    """The depth and the sample; UsageError for a sample where no blob is read."""
    if "sample" in options.given and options.depth != "content":
        raise UsageError(
            "--sample is of no use without --depth content", advice="add it, or leave --sample out"
        )
    return Validation(depth=Depth(options.depth), sample=options.sample)
