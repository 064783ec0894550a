"""docker-registry's access log as data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

MARKER = "lab-marker"
_LINE = re.compile(
    r'^\S+ - \S+ \[[^]]+\] "(?P<method>[A-Z]+) (?P<target>\S+) HTTP/[\d.]+" '
    r'(?P<status>\d{3}) (?P<size>\d+) "(?P<referer>[^"]*)" "(?P<agent>(?:[^"\\]|\\.)*)"$'
)
_ROUTE = re.compile(
    r"^/v2/(?:(?P<repository>.+?)/(?P<what>manifests|blobs/uploads|blobs|tags|referrers)"
    r"/(?P<rest>.*))?$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One answered request; ``size`` counts the bytes of the answer's body."""

    method: str
    path: str
    query: str
    status: int
    size: int
    agent: str

    @property
    def what(self) -> str:
        """Give ``manifests``, ``blobs``, ``blobs/uploads``, ``tags``, ``referrers`` or ``ping``."""
        found = _ROUTE.match(self.path)
        return (found and found["what"]) or "ping"

    @property
    def repository(self) -> str | None:
        """Give the repository asked about; None for the ping."""
        found = _ROUTE.match(self.path)
        return found["repository"] if found else None

    @property
    def reference(self) -> str | None:
        """Give the tag, digest or upload named last in the path; None for the ping."""
        found = _ROUTE.match(self.path)
        return found["rest"] if found else None

    @property
    def mounted_from(self) -> str | None:
        """Give the repository an upload asked to mount from."""
        return next(iter(parse_qs(self.query).get("from", [])), None)


def parse_access_log(text: str) -> Iterator[Request]:
    """Give the requests of a log in combined format; other lines and markers are left out."""
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None or MARKER in found["target"]:
            continue
        target = urlsplit(found["target"])
        yield Request(
            method=found["method"],
            path=target.path,
            query=target.query,
            status=int(found["status"]),
            size=int(found["size"]),
            agent=found["agent"],
        )
