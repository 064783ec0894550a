"""What holds for all tiers: how many examples hypothesis makes up, and what is worked out once."""

from __future__ import annotations

import functools
import sysconfig

from hypothesis import settings

# `--hypothesis-profile=full` is what scripts/soak runs with; tests/helpers/examples.py follows it.
settings.register_profile("full", max_examples=100, deadline=None)
settings.register_profile("sample", max_examples=20, deadline=None)
settings.load_profile("sample")

# loguru asks for 36 folders whenever a log is opened, which is the start of every run.
sysconfig.get_path = functools.cache(sysconfig.get_path)
