"""Values of options: text in, typed value out.

Every reader raises ValueError with a sentence that follows the option's name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal

MOST_JOBS = 20
EVERYTHING = frozenset({"all", "*"})

_TRUE = frozenset({"true", "1", "yes", "y", "on", "t"})
_FALSE = frozenset({"false", "0", "no", "n", "off", "f"})
_SECONDS = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_PART = r"(\d+(?:\.\d*)?|\.\d+)(ms|us|µs|μs|ns|h|m|s)"
_DURATION = re.compile(f"(?:{_PART})+")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmgt])?(i?b)?", re.ASCII)
_WORD = re.compile(r"[a-z0-9_.-]+")


def boolean(text: str) -> bool:
    """Return whether `text` means yes; Go's words and a few more, in any case."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def duration(text: str) -> float:
    """Return the seconds of a duration as Go writes them: `1h2m3s`, `1.5h`, `500ms`, `0`."""
    word = text.strip().lower()
    if word == "0":
        return 0.0
    if not _DURATION.fullmatch(word):
        raise ValueError(_no_duration(text, word))
    return math.fsum(float(count) * _SECONDS[unit] for count, unit in re.findall(_PART, word))


def _no_duration(text: str, word: str) -> str:
    if re.fullmatch(r"\d+(\.\d+)?", word):
        return f"{text!r} has no unit: write {word}s or {word}m"
    return f"{text!r} is not a duration: write 90s, 10m or 1h30m"


def limit(text: str) -> float | None:
    """Return the seconds after which something ends; `0` is None, no limit."""
    return duration(text) or None


def patience(text: str) -> float:
    """Return the seconds to wait; `forever` is infinity."""
    return math.inf if text.strip().lower() == "forever" else duration(text)


def whole_number(text: str) -> int:
    """Return a whole number, which may be negative."""
    try:
        return int(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def count(text: str) -> int:
    """Return a whole number from 0 up."""
    number = whole_number(text)
    if number < 0:
        raise ValueError(f"{text!r} is less than 0")
    return number


def size(text: str) -> int:
    """Return the bytes of a size: `4G` and `4GiB` are in 1024s, `4GB` in 1000s, `4096` is bytes."""
    match = _SIZE.fullmatch(text.strip().lower())
    if not match:
        raise ValueError(f"{text!r} is not a size: write 4G, 500M or a number of bytes")
    count, unit, ending = match[1], match[2] or "", match[3] or ""
    base = 1000 if ending == "b" and unit else 1024
    return int(Decimal(count) * base ** " kmgt".index(unit or " "))


def jobs_in_range(wished: int) -> int:
    """Return the nearest number of jobs the program works with, 1 to 20."""
    return min(max(wished, 1), MOST_JOBS)


def words(text: str) -> tuple[str, ...]:
    """Return the words of a list, lower-cased, separated by commas or blanks; at least one."""
    found = tuple(text.lower().replace(",", " ").split())
    if not found:
        raise ValueError("names nothing: write words separated by commas, or all")
    for word in found:
        if word not in EVERYTHING and not _WORD.fullmatch(word):
            raise ValueError(_no_word(word))
    return found


def _no_word(word: str) -> str:
    if "/" in word:
        return f"{word!r} is a platform: name its parts with --os, --arch and --variant"
    return f"{word!r} is not a word of letters, digits, '.', '_' and '-'"


def chosen(found: tuple[str, ...] | None) -> frozenset[str] | None:
    """Return the set of chosen words; None, for `all`, `*` or no words, is every one."""
    if found is None or EVERYTHING & set(found):
        return None
    return frozenset(found)


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a reader that takes one of `choices`, in any case."""

    def read(text: str) -> str:
        word = text.strip().lower()
        if word not in choices:
            *front, last = choices
            raise ValueError(f"{text!r} is unknown: write {', '.join(front)} or {last}")
        return word

    return read


def repository_type(text: str) -> str:
    """Return the kind of registry that needs more than the specification: `harbor`, or empty."""
    word = text.strip().lower()
    if word not in ("", "harbor"):
        raise ValueError(f"{text!r} is unknown: write harbor, or leave the option out")
    return word


def pattern(text: str) -> re.Pattern[str]:
    """Return the regular expression `text`, in Python's syntax."""
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None


def percentage(text: str) -> float:
    """Return a part of a whole, `5%` or `5`, as a number from 0 to 1."""
    try:
        part = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        raise ValueError(f"{text!r} is no percentage: write 5%") from None
    if not 0 <= part <= 1:
        raise ValueError(f"{text!r} is not between 0% and 100%")
    return part


def address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`, or `:PORT` for every host; IPv6 is in brackets."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f"{text!r} is no address: write HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r} is no address: write [HOST]:PORT")
    return host or "0.0.0.0", int(port)
