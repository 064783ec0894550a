"""Which cases of a table run with every change, and which with `scripts/soak` alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

Case = Any


def sample(cases: Iterable[Case], *kept: Case) -> list[Case]:
    """Return the cases for `parametrize`; those that are not `kept` are marked `soak`.

    A case is kept by its value, or by the id of its `pytest.param`.
    """
    return [case if _key(case) in kept else _soaked(case) for case in cases]


def _key(case: Case) -> Case:
    return case.id if hasattr(case, "marks") else case


def _soaked(case: Case) -> Case:
    if hasattr(case, "marks"):
        return pytest.param(*case.values, id=case.id, marks=(*case.marks, pytest.mark.soak))
    return pytest.param(case, marks=pytest.mark.soak)
