"""Archives in tests are not flushed to the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _unflushed() -> Iterator[None]:
    """Skip what takes most of the time here; the integration tests flush, and kill processes."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, lambda _descriptor: None, raising=False)
        yield
