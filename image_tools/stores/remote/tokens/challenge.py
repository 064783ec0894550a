"""The WWW-Authenticate header as values (RFC 9110, 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(
    rf'(?P<name>{_TOKEN})[ \t]*=[ \t]*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"=]+))'
    r"(?=[\s,]|$)",
    re.DOTALL,
)
_SCHEME = re.compile(rf"(?P<scheme>{_TOKEN})(?=[\s,]|$)")
_TOKEN68 = re.compile(r"[0-9A-Za-z._~+/-]+=*(?=[\s,]|$)")
_BLANK = re.compile(r"[\s,]*")
_MALFORMED = re.compile(rf"(?:{_TOKEN}|[^\s,])")
_MOST_HEADERS = 16
_LONGEST_HEADER = 8192


@dataclass(frozen=True, slots=True)
class Challenge:
    """One authentication scheme that a server offers; names are in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Return the challenges of all WWW-Authenticate `headers`, in order, without malformed ones.

    The first 16 headers are read, and 8 KiB of each.
    """
    read = (header[:_LONGEST_HEADER] for header in islice(headers, _MOST_HEADERS))
    return tuple(challenge for header in read for challenge in _challenges(header))


def _challenges(header: str) -> Iterator[Challenge]:
    place = _skip(header, 0)
    while place < len(header):
        scheme = _SCHEME.match(header, place)
        if not scheme:
            # Skip the whole word, or each of its letters would be tried as a start.
            place = _skip(header, _past_nonsense(header, place))
            continue
        parameters, place = _parameters(header, _skip(header, scheme.end()))
        yield Challenge(scheme["scheme"].lower(), MappingProxyType(parameters))


def _parameters(header: str, place: int) -> tuple[dict[str, str], int]:
    found: dict[str, str] = {}
    while parameter := _PARAMETER.match(header, place):
        quoted = parameter["quoted"]
        value = parameter["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        found.setdefault(parameter["name"].lower(), value)
        place = _skip(header, parameter.end())
    if not found and (blob := _TOKEN68.match(header, place)) and not _is_scheme(header, blob):
        place = _skip(header, blob.end())
    return found, place


def _is_scheme(header: str, blob: re.Match[str]) -> bool:
    """Return whether a supposed token68 is the next scheme: a parameter follows it."""
    following = _skip(header, blob.end())
    return "," in header[: blob.start()][-2:] or bool(_PARAMETER.match(header, following))


def _past_nonsense(header: str, place: int) -> int:
    nonsense = _MALFORMED.match(header, place)
    return nonsense.end() if nonsense else place + 1


def _skip(header: str, place: int) -> int:
    blank = _BLANK.match(header, place)
    return blank.end() if blank else place
