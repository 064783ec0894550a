"""What two registries were asked, counted from their own logs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from urllib.parse import parse_qs

from benchmarks.population import World
from tests.helpers.access_log import MARKER, Request
from tests.helpers.registry import Registry

_REMOTE = re.compile(r'remoteaddr="([^"]+)"')
_KINDS = {
    ("GET", "manifests"): "manifest GET",
    ("HEAD", "manifests"): "manifest HEAD",
    ("PUT", "manifests"): "manifest PUT",
    ("GET", "blobs"): "blob GET",
    ("HEAD", "blobs"): "blob HEAD",
    ("POST", "blobs/uploads"): "upload",
    ("PATCH", "blobs/uploads"): "upload",
    ("PUT", "blobs/uploads"): "upload",
}


def kinds(asked: Iterable[Request]) -> dict[str, int]:
    """Give how many requests there were of each kind; a refused mount is an upload."""
    return dict(Counter(map(_kind, asked)))


def _kind(request: Request) -> str:
    if request.method == "POST" and request.mounted_from and request.status == 201:
        return "mount"
    return _KINDS.get((request.method, request.what), "other")


def bytes_read(asked: Iterable[Request]) -> int:
    """Give the bytes of all blobs and manifests that were sent, also of bodies that were cut."""
    wanted = ("blobs", "manifests")
    return sum(one.size for one in asked if one.method == "GET" and one.what in wanted)


def bytes_written(asked: Iterable[Request], world: World) -> int:
    """Give the bytes of all blobs whose upload was completed: the log has no other size."""
    ended = (one for one in asked if one.method == "PUT" and one.what == "blobs/uploads")
    digests = (parse_qs(one.query).get("digest", [""])[0] for one in ended)
    return sum(world.sizes.get(digest, 0) for digest in digests)


def connections(registry: Registry, first: int) -> int:
    """Give how many connections had a request, by the log from this place on."""
    text = (registry.folder / "error.log").read_text()[first:]
    return len({found[1] for line in text.splitlines() if (found := _address_in(line))})


def _address_in(line: str) -> re.Match[str] | None:
    return None if MARKER in line else _REMOTE.search(line)
