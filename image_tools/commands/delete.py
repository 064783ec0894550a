"""`delete`: delete one manifest of a registry, with every tag that leads to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from image_tools.commands.opening import Opening, ask_each
from image_tools.errors import NotFound
from image_tools.oci.digest import Digest
from image_tools.oci.reference import Reference, tag_key
from image_tools.report import json_of
from image_tools.stores.remote.registry import Remote

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """The manifest to delete: by its digest if `reference` has one, else by its tag."""

    reference: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedImage:
    """The manifest behind `reference` and its tags; `deleted` is set once they are gone."""

    reference: str
    digest: Digest
    media_type: str
    tags: tuple[str, ...]
    deleted: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that scripts rely on."""
        return {"schema": SCHEMA, "command": "delete", **json_of(self)}


def delete(
    request: DeleteRequest, opening: Opening, confirm: Callable[[DeletedImage], bool]
) -> DeletedImage:
    """Delete a manifest if `confirm` agrees, and return what it was.

    Raise NotFound when there is no such manifest, AccessDenied when the registry refuses,
    IntegrityError when a tag still leads to it afterwards.
    """
    reference = request.reference
    doomed = opening.run(_found(reference, opening))
    if not confirm(doomed):
        return doomed

    async def remove() -> bool:
        store = opening.registry(reference.registry)
        return await store.delete_manifest(reference.repository, doomed.digest, doomed.tags)

    # When it is gone meanwhile, that is as good as deleted.
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
    """Return the tags that lead to `digest`; no registry has that list, so every tag is asked."""

    async def leads(tag: str) -> bool:
        head = await store.manifest_head(repository, tag)
        return head is not None and head.digest == digest

    try:
        tags = await store.tags(repository)
    except NotFound:
        # Some registries do not know a repository without tags.
        return []
    found = await ask_each(tags, leads)
    return [tag for tag, wanted in zip(tags, found, strict=True) if wanted]
