"""Deleting a manifest (distribution spec, "Deleting Manifests"), where a registry lets us."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from image_tools.errors import AccessDenied
from image_tools.stores.remote.questions import Answer, Question

# The specification's 405 for "deletion is disabled", and what some say in its place.
_NEVER = frozenset({405, 501})


async def delete_manifest(
    ask: Callable[[Question], Awaitable[Answer]], repository: str, digest: str, reference: str
) -> bool:
    """Delete a manifest, and with it every tag that leads to it; False when it was not there.

    AccessDenied also when the registry does not allow deleting at all.
    """
    answer = await ask(
        Question(
            method="DELETE",
            repository=repository,
            reference=reference,
            path=f"{repository}/manifests/{digest}",
            expected=frozenset({200, 202, 404}) | _NEVER,
            doing="deleting",
            push=True,
        )
    )
    if answer.status in _NEVER:
        raise AccessDenied(
            f"{reference}: the registry does not allow deleting ({answer.words})",
            status=answer.status,
            advice="have it turned on at the registry (docker-registry: storage.delete.enabled),"
            " or delete with the registry's own tools",
        )
    return answer.status != 404
