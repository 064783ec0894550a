"""What refers to a manifest (distribution spec, "Listing Referrers")."""

from __future__ import annotations

from typing import Protocol

from yarl import URL

from image_tools.errors import InvalidManifest, NotFound, Unavailable
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, RawManifest, parse
from image_tools.stores.remote.address import named
from image_tools.stores.remote.questions import Answer, Question
from image_tools.stores.store import ManifestHead

MOST_PAGES = 100
# What registries answer that do not know this question: the specification's 404, and others.
_UNKNOWN_QUESTION = frozenset({400, 404, 405, 501})


class Asked(Protocol):
    """The part of a registry that is needed here; `lists_referrers` is what is known so far."""

    lists_referrers: bool

    @property
    def name(self) -> str: ...
    async def ask(self, question: Question) -> Answer: ...
    def following(self, answer: Answer, reference: str) -> URL | None: ...
    async def manifest_head(
        self, repository: str, reference: str | Digest
    ) -> ManifestHead | None: ...
    async def manifest(self, repository: str, reference: str | Digest) -> RawManifest: ...


async def referrers(registry: Asked, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
    """The manifests that name `digest` as their subject: as the registry, or the tag, lists them.

    Empty where neither knows any. Unavailable or InvalidManifest when the list cannot be read.
    A registry that does not know the question is not asked it again.
    """
    if not registry.lists_referrers:
        return await _by_tag(registry, repository, digest)
    reference = named(registry.name, repository, digest)
    found: tuple[Descriptor, ...] = ()
    url: URL | None = None
    for _ in range(MOST_PAGES):
        answer = await registry.ask(_question(repository, digest, reference, url))
        if answer.status != 200:
            registry.lists_referrers = _may_list(answer)
            return await _by_tag(registry, repository, digest)
        found += _entries(RawManifest(media.OCI_INDEX, answer.body), reference)
        following = registry.following(answer, reference)
        if following is None or following == answer.url:
            return found
        url = following
    raise Unavailable(f"{reference}: the list of its referrers does not end")


async def _by_tag(registry: Asked, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
    tag = digest.as_tag
    # A HEAD first: nearly always there is none, and registries count a GET as a pull.
    head = await registry.manifest_head(repository, tag)
    if head is None or head.media_type not in media.INDEXES:
        return ()
    try:
        manifest = await registry.manifest(repository, head.digest)
    except NotFound:
        return ()
    return _entries(manifest, named(registry.name, repository, tag))


def _may_list(answer: Answer) -> bool:
    """Whether this refusal is about the repository, and not about the question."""
    return answer.status == 400 or answer.code == "NAME_UNKNOWN"


def _question(repository: str, digest: Digest, reference: str, url: URL | None) -> Question:
    return Question(
        method="GET",
        repository=repository,
        reference=reference,
        path=f"{repository}/referrers/{digest}",
        url=url,
        headers={"Accept": media.OCI_INDEX},
        expected=frozenset({200}) | _UNKNOWN_QUESTION,
        doing="reading what refers to it",
    )


def _entries(raw: RawManifest, reference: str) -> tuple[Descriptor, ...]:
    try:
        found = parse(raw)
    except InvalidManifest as error:
        raise InvalidManifest(f"{reference}: the list of its referrers: {error}") from error
    return found.entries if isinstance(found, Index) else ()
