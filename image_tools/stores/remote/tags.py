"""The tags of a repository (distribution spec, "Listing Tags")."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial

from loguru import logger
from yarl import URL

from image_tools.errors import ImageToolsError, NotFound, Unavailable
from image_tools.oci.reference import is_tag
from image_tools.stores.remote.api import ApiAnswer, ApiRequest
from image_tools.stores.remote.client import RegistryClient
from image_tools.web.address import named

MOST_PAGES = 1000
MOST_BYTES_OF_TAGS = 16 * 1024 * 1024
MOST_TAGS = 1_000_000
_NAME_UNKNOWN = "NAME_UNKNOWN"
_BESIDE_TAGS = frozenset({"name", "child", "manifest"})


@dataclass(slots=True, eq=False)
class _Listed:
    """The tags that one repository listed when it was first asked; None: it failed.

    `written` are the tags that were written since.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_known: bool = False
    tags: frozenset[str] | None = None
    written: set[str] = field(default_factory=set)


class TagLists:
    """The tags of all repositories of one registry. Belongs to its client's event loop."""

    def __init__(self, client: RegistryClient) -> None:
        self._client = client
        self._listed: defaultdict[str, _Listed] = defaultdict(_Listed)

    async def all(self, repository: str) -> tuple[str, ...]:
        """Return the tags of a repository, all pages; raise NotFound if unknown."""
        client, request, found = self._client, self._page(repository), dict[str, None]()
        seen = set[URL]()
        for _ in range(MOST_PAGES):
            answer, names = await client.repeat(partial(self._names, request))
            found.update(dict.fromkeys(names))
            after = client.following(answer, request.reference)
            if after is None:
                return tuple(found)
            seen.add(answer.url)
            if after in seen or len(found) > MOST_TAGS:
                break
            request = self._page(repository, after)
        raise Unavailable(f"{named(client.registry, repository)}: the list of tags does not end")

    async def holds(self, repository: str, tag: str) -> bool | None:
        """Return whether `repository` listed `tag` when first asked; None: it lists nothing."""
        listed = self._listed[repository]
        async with listed.lock:
            if not listed.is_known:
                listed.tags = await self._tags(repository)
                listed.is_known = True
        if tag in listed.written:
            return True
        return None if listed.tags is None else tag in listed.tags

    def note(self, repository: str, tag: str) -> None:
        """Remember that `tag` was written in this run."""
        self._listed[repository].written.add(tag)

    def forget(self, repository: str) -> None:
        """Forget the list of `repository`, because tags were deleted."""
        self._listed.pop(repository, None)

    async def _tags(self, repository: str) -> frozenset[str] | None:
        try:
            return frozenset(await self.all(repository))
        except ImageToolsError as error:
            logger.debug("{}", error)
            # A registry without this API sends 404, too.
            is_empty = isinstance(error, NotFound) and error.code == _NAME_UNKNOWN
            return frozenset() if is_empty else None

    async def _names(self, request: ApiRequest) -> tuple[ApiAnswer, tuple[str, ...]]:
        """Return one page of tags; raise Unavailable if it cannot be read: it may have been cut."""
        answer = await self._client.once(request)
        return answer, _tags(answer, request.reference)

    def _page(self, repository: str, url: URL | None = None) -> ApiRequest:
        return ApiRequest(
            method="GET",
            repository=repository,
            reference=named(self._client.registry, repository),
            path=f"{repository}/tags/list",
            url=url,
            limit=MOST_BYTES_OF_TAGS,
            doing="reading the tags",
        )


def _tags(answer: ApiAnswer, reference: str) -> tuple[str, ...]:
    """Return the tags of one page, without invalid names.

    Raise Unavailable if it is no list of tags.
    """
    try:
        document = json.loads(answer.body)
        # Servers in Go omit an empty list; a list under another name is a broken answer.
        names = document["tags"] if document.keys() - _BESIDE_TAGS else document.get("tags", ())
        return tuple(name for name in names or () if isinstance(name, str) and is_tag(name))
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise Unavailable(f"{reference}: the registry's list of tags cannot be read") from error
