"""What holds for all tiers: how many examples hypothesis makes up."""

from __future__ import annotations

import gc

from hypothesis import settings

# `--hypothesis-profile=full` is what scripts/soak runs with; tests/helpers/examples.py follows it.
settings.register_profile("full", max_examples=100, deadline=None)
settings.register_profile("sample", max_examples=20, deadline=None)
settings.load_profile("sample")


def pytest_collection_finish() -> None:
    """What was imported and collected stays: a tenth of the time went into looking at it again."""
    gc.collect()
    gc.freeze()
