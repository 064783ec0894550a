"""The referrers of a manifest (distribution spec, "Listing Referrers")."""

from __future__ import annotations

from contextlib import suppress

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
from image_tools.stores.remote.api import ApiAnswer, ApiRequest
from image_tools.stores.remote.capabilities import Capabilities
from image_tools.stores.remote.client import RegistryClient
from image_tools.stores.store import Store
from image_tools.web.address import named

MOST_PAGES = 100
# These statuses may be about the repository; all others are about the API.
_ABOUT_REPOSITORY = frozenset({400, 401, 403})
# With these a registry that lists referrers is out of order for the moment.
_OUT_OF_ORDER = frozenset({502, 503, 504})
# These leave open whether there are referrers; an unknown API means that there are none.
_DOUBTFUL = frozenset({401, 403, 500})


class _BrokenList(InvalidManifest):
    """An unreadable index: the registry lists referrers, and this list is lost."""


async def referrers(
    client: RegistryClient, store: Store, repository: str, digest: Digest
) -> tuple[Descriptor, ...]:
    """Return the manifests that name `digest` as their subject, from the API or the tag.

    Empty where neither lists any. A registry that refuses the API in any way, or answers it with
    something else than an index, is asked for the tag, and not asked by API again. Raises
    Unavailable, TimedOut or RateLimited where a registry that may list them is out of order.
    """
    known = client.capabilities
    if known.referrers and repository not in known.no_referrers:
        try:
            found = await _listed(client, repository, digest)
            known.lists_referrers = True
            return found
        except ImageToolsError as error:
            is_known = known.lists_referrers and not isinstance(error, NotFound)
            if is_known or _is_out_of_order(error):
                return await _rescued(store, repository, digest, error)
            logger.debug("{}; looking for the tag that lists them", error)
            _note(known, repository, error)
    return await by_tag(store, repository, digest)


async def _rescued(
    store: Store, repository: str, digest: Digest, error: ImageToolsError
) -> tuple[Descriptor, ...]:
    """Return what the tag lists while the registry's list is out of order, else raise `error`."""
    with suppress(ImageToolsError):
        if found := await by_tag(store, repository, digest):
            logger.warning("{}; using the tag that lists its referrers", error)
            return found
    raise error


async def by_tag(store: Store, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
    """Return the referrers listed by the tag `sha256-HEX` ("Referrers Tag Schema")."""
    tag = digest.as_tag
    # HEAD first: nearly always there is no such tag, and registries count a GET as a pull.
    head = await store.manifest_head(repository, tag)
    # GitLab resolves the tag of a digest to the manifest itself (oras-go#1396).
    if head is None or head.digest == digest or head.media_type not in {"", *media.INDEXES}:
        return ()
    try:
        manifest = await store.manifest(repository, head.digest)
    except NotFound:
        return ()
    return _entries(manifest, named(store.name, repository, tag))


async def _listed(
    client: RegistryClient, repository: str, digest: Digest
) -> tuple[Descriptor, ...]:
    reference = named(client.registry, repository, digest)
    found: tuple[Descriptor, ...] = ()
    url: URL | None = None
    seen = set[URL]()
    for _ in range(MOST_PAGES):
        answer = await _asked(client, _request(repository, digest, reference, url))
        found += _list(answer, reference)
        following = client.following(answer, reference)
        seen.add(answer.url)
        if following is None or following in seen:
            return found
        url = following
    raise Unavailable(f"{reference}: the list of its referrers does not end")


async def _asked(client: RegistryClient, request: ApiRequest) -> ApiAnswer:
    """Return the answer, repeated while the failure is temporary, except for a 500.

    Many servers answer 500 to an API they do not know.
    """
    try:
        return await client.once(request)
    except ImageToolsError as error:
        if not error.temporary or not _is_out_of_order(error):
            raise
    return await client.ask(request)


def _is_out_of_order(error: ImageToolsError) -> bool:
    """Return whether a failure says nothing about the API: it may work another time."""
    if isinstance(error, (Deferred, RateLimited, _BrokenList)):
        return True
    status = error.status if isinstance(error, CopyFailed) else 0
    return error.temporary and (status is None or status in _OUT_OF_ORDER)


def _note(known: Capabilities, repository: str, error: ImageToolsError) -> None:
    status = error.status if isinstance(error, CopyFailed) else 0
    # The specified 404 is about the API; some registries send it for an unknown repository.
    is_own = isinstance(error, NotFound) and error.code == "NAME_UNKNOWN"
    is_of_repository = status in _ABOUT_REPOSITORY or is_own
    if is_of_repository:
        known.no_referrers.add(repository)
    else:
        known.referrers = False
    if status in _DOUBTFUL:
        known.doubtful_referrers[repository if is_of_repository else ""] = str(error)


def doubt(known: Capabilities, repository: str) -> str:
    """Return why it is unknown whether manifests have referrers; empty text if it is known."""
    found = known.doubtful_referrers
    return found.get(repository) or found.get("", "")


def _request(repository: str, digest: Digest, reference: str, url: URL | None) -> ApiRequest:
    return ApiRequest(
        method="GET",
        repository=repository,
        reference=reference,
        path=f"{repository}/referrers/{digest}",
        url=url,
        headers={"Accept": media.OCI_INDEX},
        doing="reading what refers to it",
    )


def _list(answer: ApiAnswer, reference: str) -> tuple[Descriptor, ...]:
    """Return the entries of a page; raise InvalidManifest when it is not an index."""
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
