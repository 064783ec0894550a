"""The order of tags as people count versions: 1.9 before 1.10, 2.0-rc1 before 2.0."""

from __future__ import annotations

import re

_PARTS = re.compile(r"[0-9]+|[^0-9._-]+")
_VERSION = re.compile(r"[vV]?(?=[0-9])")
# What stands before the release it leads to: semver.org section 11, and common habits.
_EARLIER = re.compile(
    r"(?:alpha|beta|canary|dev|ea|m|milestone|nightly|pre|preview|rc|snapshot|unstable)",
    re.IGNORECASE,
)
_BEFORE_END, _END, _WORD, _NUMBER = range(4)

Part = tuple[int, int, str]


def tag_key(tag: str) -> tuple[bool, tuple[Part, ...], str]:
    """What to sort tags by: versions first and by their numbers, then words.

    A `v` in front does not count, and neither does which of '.', '-' and '_' separates. What
    comes before a release (`-rc1`) stands before it, every other suffix (`-alpine`) behind it.
    """
    version = _VERSION.match(tag)
    texts = _PARTS.findall(tag[version.end() :] if version else tag)
    parts = tuple(_part(text, early=version is not None) for text in texts)
    return version is None, (*parts, (_END, 0, "")), tag


def _part(text: str, *, early: bool) -> Part:
    if "0" <= text[0] <= "9":
        # Compared as numbers without making them: Python refuses those of over 4300 digits.
        digits = text.lstrip("0")
        return _NUMBER, len(digits), digits
    rank = _BEFORE_END if early and _EARLIER.fullmatch(text) else _WORD
    return rank, 0, text.lower()
