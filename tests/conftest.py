"""What holds for all tiers: how many examples hypothesis makes up, and what is worked out once."""

from __future__ import annotations

import functools
import sysconfig
from typing import Any

from hypothesis import settings

# `--hypothesis-profile=full` is what scripts/soak runs with; tests/helpers/examples.py follows it.
settings.register_profile("full", max_examples=100, deadline=None)
settings.register_profile("sample", max_examples=20, deadline=None)
settings.load_profile("sample")

# loguru asks for 36 folders whenever a log is opened, which is the start of every run.
_get_path = sysconfig.get_path
_remembered = functools.cache(_get_path)


def _path(*words: str, **more: Any) -> str:
    return _get_path(*words, **more) if more or len(words) > 2 else _remembered(*words)


sysconfig.get_path = _path
