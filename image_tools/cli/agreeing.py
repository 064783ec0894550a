"""Questions whose answer is yes or no."""

from __future__ import annotations

import sys

from image_tools.cli import render
from image_tools.cli.redact import clean

_YES = frozenset({"y", "yes"})


def agreed(question: str) -> bool:
    """Whether the person at the terminal says yes to `question`; anything else is no."""
    render.prompt(clean(f"{question} [y/N] "))
    return sys.stdin.readline().strip().lower() in _YES
