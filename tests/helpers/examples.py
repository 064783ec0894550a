"""How many examples a property gets: all of them by scripts/soak, a share of them elsewhere."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

FULL = 100
FEWEST = 5


def examples(full: int, **more: Any) -> settings:
    """Give settings with ``full`` examples in the profile "full", in another one its share."""
    share = settings().max_examples / FULL
    return settings(max_examples=max(FEWEST, round(full * share)), deadline=None, **more)
