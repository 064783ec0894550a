"""One question to a registry, and its answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from multidict import CIMultiDictProxy
from yarl import URL

from image_tools.errors import InvalidReference
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import MAXIMUM_MANIFEST_SIZE
from image_tools.refusals.case import Stage
from image_tools.stores.remote.failures import Asked, Refusal
from image_tools.web.address import endpoint
from image_tools.web.body import StreamBody

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")


class Counts(Enum):
    """What a registry's pull limit makes of a question, whose answer tells of that limit."""

    NOTHING = "nothing"
    HEAD = "head"
    PULL = "pull"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a registry, before scheme, rights and pace are settled.

    `path` is what stands behind `/v2/`, `url` the whole address where the registry itself named
    it. `reference` is what people call the thing asked about, `doing` what is tried, in words for
    an error. `expected` are the statuses that are no failure. `push` asks for the right to write,
    `origin` for the right to read another repository too. `is_slow`: the answer may take its time,
    as at the end of an upload. `counts` says what a pull limit makes of it. `limit` bounds the
    answer in bytes.
    """

    method: str
    repository: str
    reference: str
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    url: URL | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | StreamBody | None = field(default=None, repr=False)
    expected: frozenset[int] = frozenset({200})
    doing: str = ""
    push: bool = False
    origin: str | None = None
    is_slow: bool = False
    counts: Counts = Counts.NOTHING
    limit: int = MAXIMUM_MANIFEST_SIZE

    @property
    def can_repeat(self) -> bool:
        """Whether it may be sent again: no body, or one of which nothing was taken yet."""
        return not (isinstance(self.body, StreamBody) and self.body.started)

    def accepts(self, answer: Refusal) -> bool:
        """Whether it is an answer of a registry as expected; good news on a web page is none."""
        return answer.status in self.expected and not (answer.status < 300 and answer.is_page)

    def asked(self, *, proxied: bool) -> Asked:
        """Return what the meaning of a refusal depends on; `proxied` as there."""
        if self.method == "DELETE":
            return Asked(stage=Stage.DELETING, proxied=proxied)
        if not self.push:
            return Asked(proxied=proxied)
        return Asked(
            stage=Stage.PUSHING,
            media_type=self.headers.get("Content-Type", ""),
            manifest=self.body if isinstance(self.body, bytes) else b"",
            proxied=proxied,
        )

    def address(self, root: URL) -> URL:
        """Where to ask, below `root`."""
        return self.url or endpoint(root, self.path, **self.query)


@dataclass(frozen=True, slots=True)
class Answer(Refusal):
    """An answer read to its end; `url` is where it came from, after redirects."""

    url: URL = field(default_factory=URL)

    @property
    def digest(self) -> Digest | None:
        """The Docker-Content-Digest, None where there is none that we can compute."""
        try:
            return Digest.parse(self.headers.get("Docker-Content-Digest", ""))
        except InvalidReference:
            return None

    def fields(self, name: str) -> tuple[str, ...]:
        """All header fields of this name, in order."""
        headers = self.headers
        found = headers.getall(name, []) if isinstance(headers, CIMultiDictProxy) else ()
        return tuple(found) or tuple(filter(None, (headers.get(name),)))

    @property
    def length(self) -> int | None:
        """The Content-Length in bytes, None where there is none."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    @property
    def media_type(self) -> str:
        """The Content-Type without its parameters; empty where it is none (RFC 6838, 4.2)."""
        stated = self.headers.get("Content-Type", "").partition(";")[0].strip()
        return stated if _MEDIA_TYPE.fullmatch(stated) else ""
