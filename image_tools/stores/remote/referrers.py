"""What refers to a manifest (distribution spec, "Listing Referrers")."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from loguru import logger
from yarl import URL

from image_tools.errors import (
    CopyFailed,
    Deferred,
    ImageToolsError,
    InvalidManifest,
    NotFound,
    RateLimited,
    Unavailable,
)
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, RawManifest, parse
from image_tools.stores.remote.capabilities import Capabilities
from image_tools.stores.remote.questions import Answer, Question
from image_tools.stores.store import ManifestHead
from image_tools.web.address import named

MOST_PAGES = 100
# A refusal with one of these may be about the repository; all others are about the question.
_ABOUT_REPOSITORY = frozenset({400, 401, 403})
# With these a registry that lists referrers is out of order: what it has is not to be missed.
_OUT_OF_ORDER = frozenset({502, 503, 504})
# These do not say whether there are any; what says that there is no such question does.
_DOUBTFUL = frozenset({401, 403, 500})


class _BrokenList(InvalidManifest):
    """An index that cannot be read: the registry lists referrers, and this list is lost."""


class ReferringRegistry(Protocol):
    """The part of a registry that is needed here."""

    @property
    def name(self) -> str: ...
    @property
    def capabilities(self) -> Capabilities: ...
    async def ask(self, question: Question) -> Answer: ...
    async def once(self, question: Question) -> Answer: ...
    def following(self, answer: Answer, reference: str) -> URL | None: ...
    async def manifest_head(
        self, repository: str, reference: str | Digest
    ) -> ManifestHead | None: ...
    async def manifest(self, repository: str, reference: str | Digest) -> RawManifest: ...


async def referrers(
    registry: ReferringRegistry, repository: str, digest: Digest
) -> tuple[Descriptor, ...]:
    """The manifests that name `digest` as their subject: as the registry, or the tag, lists them.

    Empty where neither knows any. A registry that refuses the question in any way, or answers with
    something else than a list, is asked for the tag, and not asked the question again. Raises
    Unavailable, TimedOut or RateLimited where a registry that may list them is out of order.
    """
    known = registry.capabilities
    if known.referrers and repository not in known.no_referrers:
        try:
            found = await _listed(registry, repository, digest)
            known.lists_referrers = True
            return found
        except ImageToolsError as error:
            is_known = known.lists_referrers and not isinstance(error, NotFound)
            if is_known or _is_out_of_order(error):
                return await _rescued(registry, repository, digest, error)
            logger.debug("{}; looking for the tag that lists them", error)
            _note(known, repository, error)
    return await by_tag(registry, repository, digest)


async def _rescued(
    registry: ReferringRegistry, repository: str, digest: Digest, error: ImageToolsError
) -> tuple[Descriptor, ...]:
    """What the tag lists while the registry's own list is out of order; else it raises `error`."""
    with suppress(ImageToolsError):
        if found := await by_tag(registry, repository, digest):
            logger.warning("{}; using the tag that lists its referrers", error)
            return found
    raise error


async def by_tag(
    registry: ReferringRegistry, repository: str, digest: Digest
) -> tuple[Descriptor, ...]:
    """The referrers that the tag `sha256-HEX` lists (distribution spec, "Referrers Tag Schema")."""
    tag = digest.as_tag
    # A HEAD first: nearly always there is none, and registries count a GET as a pull.
    head = await registry.manifest_head(repository, tag)
    # At GitLab the tag of a digest leads to the manifest itself (oras-go#1396).
    if head is None or head.digest == digest or head.media_type not in {"", *media.INDEXES}:
        return ()
    try:
        manifest = await registry.manifest(repository, head.digest)
    except NotFound:
        return ()
    return _entries(manifest, named(registry.name, repository, tag))


async def _listed(
    registry: ReferringRegistry, repository: str, digest: Digest
) -> tuple[Descriptor, ...]:
    reference = named(registry.name, repository, digest)
    found: tuple[Descriptor, ...] = ()
    url: URL | None = None
    seen = set[URL]()
    for _ in range(MOST_PAGES):
        answer = await _asked(registry, _question(repository, digest, reference, url))
        found += _list(answer, reference)
        following = registry.following(answer, reference)
        seen.add(answer.url)
        if following is None or following in seen:
            return found
        url = following
    raise Unavailable(f"{reference}: the list of its referrers does not end")


async def _asked(registry: ReferringRegistry, question: Question) -> Answer:
    """The answer; what may pass is asked again, but not a 500: many fail so on a new question."""
    try:
        return await registry.once(question)
    except ImageToolsError as error:
        if not error.temporary or not _is_out_of_order(error):
            raise
    return await registry.ask(question)


def _is_out_of_order(error: ImageToolsError) -> bool:
    """Whether a failure says nothing of the question: it may be answered another time."""
    if isinstance(error, (Deferred, RateLimited, _BrokenList)):
        return True
    status = error.status if isinstance(error, CopyFailed) else 0
    return error.temporary and (status is None or status in _OUT_OF_ORDER)


def _note(known: Capabilities, repository: str, error: ImageToolsError) -> None:
    status = error.status if isinstance(error, CopyFailed) else 0
    # The specification's 404 is about the question; of an unknown repository some say it, too.
    is_own = isinstance(error, NotFound) and error.code == "NAME_UNKNOWN"
    is_of_repository = status in _ABOUT_REPOSITORY or is_own
    if is_of_repository:
        known.no_referrers.add(repository)
    else:
        known.referrers = False
    if status in _DOUBTFUL:
        known.doubtful_referrers[repository if is_of_repository else ""] = str(error)


def doubt(known: Capabilities, repository: str) -> str:
    """Why it is not known whether the manifests of a repository have referrers; empty if it is."""
    found = known.doubtful_referrers
    return found.get(repository) or found.get("", "")


def _question(repository: str, digest: Digest, reference: str, url: URL | None) -> Question:
    return Question(
        method="GET",
        repository=repository,
        reference=reference,
        path=f"{repository}/referrers/{digest}",
        url=url,
        headers={"Accept": media.OCI_INDEX},
        doing="reading what refers to it",
    )


def _list(answer: Answer, reference: str) -> tuple[Descriptor, ...]:
    """The entries of a page; InvalidManifest when it is no index: it tells nothing of referrers."""
    raw = RawManifest(media.OCI_INDEX, answer.body)
    try:
        found = parse(raw)
    except InvalidManifest as error:
        kind = _BrokenList if b'"manifests"' in answer.body else InvalidManifest
        raise kind(f"{reference}: the list of its referrers: {error}") from error
    if not isinstance(found, Index):
        raise InvalidManifest(f"{reference}: the list of its referrers is not an index")
    return found.entries


def _entries(raw: RawManifest, reference: str) -> tuple[Descriptor, ...]:
    try:
        found = parse(raw)
    except InvalidManifest as error:
        raise InvalidManifest(f"{reference}: the list of its referrers: {error}") from error
    return found.entries if isinstance(found, Index) else ()
