"""`delete`: one manifest of a registry, with every tag that leads to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from image_tools.commands.opening import Opening
from image_tools.errors import NotFound
from image_tools.machine.concurrency import together
from image_tools.oci.digest import Digest
from image_tools.oci.reference import Reference, tag_key
from image_tools.stores.remote.registry import Remote

SCHEMA = 1
MOST_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """What is to be deleted: by its digest when it states one, else what its tag leads to."""

    reference: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedImage:
    """What goes when `reference` is deleted; `deleted` says whether it has gone."""

    reference: str
    digest: Digest
    media_type: str
    tags: tuple[str, ...]
    deleted: bool = False

    def to_json(self) -> dict[str, Any]:
        """The JSON object that scripts rely on."""
        return {
            "schema": SCHEMA,
            "command": "delete",
            "reference": self.reference,
            "digest": str(self.digest),
            "media_type": self.media_type,
            "tags": list(self.tags),
            "deleted": self.deleted,
        }


def delete(
    request: DeleteRequest, opening: Opening, confirm: Callable[[DeletedImage], bool]
) -> DeletedImage:
    """What was deleted, or left because `confirm` said no; it is asked once all is known.

    NotFound when there is nothing to delete, AccessDenied where the registry does not let us,
    IntegrityError where a tag still leads to it afterwards.
    """
    reference = request.reference
    doomed = opening.run(_found(reference, opening))
    if not confirm(doomed):
        return doomed

    async def remove() -> bool:
        store = opening.registry(reference.registry)
        return await store.delete_manifest(reference.repository, doomed.digest, doomed.tags)

    # Gone in the meantime is as good as deleted.
    opening.run(remove())
    return replace(doomed, deleted=True)


async def _found(reference: Reference, opening: Opening) -> DeletedImage:
    store = opening.registry(reference.registry)
    head = await store.manifest_head(reference.repository, reference.target)
    if head is None:
        raise NotFound(f"{reference}: not found (404)", status=404)
    tags = await _tags_of(store, reference.repository, head.digest)
    return DeletedImage(
        reference=str(reference),
        digest=head.digest,
        media_type=head.media_type,
        tags=tuple(sorted(tags, key=tag_key)),
    )


async def _tags_of(store: Remote, repository: str, digest: Digest) -> list[str]:
    """The tags that lead to `digest`: registries do not tell, so every tag is looked up."""
    places = asyncio.Semaphore(MOST_AT_ONCE)

    async def leads(tag: str) -> bool:
        async with places:
            head = await store.manifest_head(repository, tag)
            return head is not None and head.digest == digest

    try:
        tags = await store.tags(repository)
    except NotFound:
        # Some registries know a repository without any tag only by its manifests.
        return []
    found = await together(leads(tag) for tag in tags)
    return [tag for tag, wanted in zip(tags, found, strict=True) if wanted]
