"""Deleting a manifest: what is asked before, and what is deleted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from image_tools.commands.delete import DeletedImage, DeleteRequest, delete
from image_tools.errors import AccessDenied, NotFound
from image_tools.oci.digest import Digest
from image_tools.oci.reference import Reference
from tests.helpers.descriptors import entry, index
from tests.helpers.memory_opening import MemoryOpening
from tests.helpers.memory_store import MemoryStore

TOP, OTHER = index(entry("a")), index(entry("b"))
IMAGE = DeletedImage(
    reference="reg.example/app:1",
    digest=TOP.digest,
    media_type=TOP.media_type,
    tags=("1", "1.0"),
)


class Deleting(MemoryStore):
    """A store that deletes manifests with their tags."""

    def __init__(self) -> None:
        super().__init__("reg.example")
        for raw, tags in ((TOP, ("1", "1.0")), (OTHER, ("2",))):
            for tag in tags:
                self.add_manifest("app", raw, tag)

    async def delete_manifest(self, repository: str, digest: Digest, tags: tuple[str, ...]) -> bool:
        await self._enter("delete_manifest", repository, str(digest))
        for tag in tags:
            del self.repositories[repository].tags[tag]
        return self.repositories[repository].manifests.pop(digest, None) is not None


def deleted(store: Deleting, reference: str, agreed: bool = True) -> DeletedImage:
    request = DeleteRequest(Reference.parse(reference))
    return delete(request, cast(Any, MemoryOpening(store)), lambda _: agreed)


@pytest.mark.parametrize("target", [":1", f"@{TOP.digest}"])
def test_delete_takes_the_manifest_with_all_its_tags(target: str) -> None:
    store = Deleting()
    found = deleted(store, f"reg.example/app{target}")

    assert found == replace(IMAGE, reference=f"reg.example/app{target}", deleted=True)
    assert list(store.repositories["app"].tags) == ["2"]


def test_delete_that_is_not_agreed_to_changes_nothing() -> None:
    store = Deleting()

    assert deleted(store, "reg.example/app:1", agreed=False) == IMAGE
    assert store.count("delete_manifest") == 0


def test_delete_of_a_repository_that_lists_no_tags_goes_by_the_digest() -> None:
    store = Deleting()
    store.fail("tags", lambda: NotFound("reg.example/app: unknown"))

    assert deleted(store, "reg.example/app:1") == replace(IMAGE, tags=(), deleted=True)


def test_delete_of_what_is_not_there_is_an_error() -> None:
    with pytest.raises(NotFound) as caught:
        deleted(Deleting(), "reg.example/app:9")

    assert (str(caught.value), caught.value.status) == ("reg.example/app:9: not found (404)", 404)


def test_delete_that_the_registry_refuses_is_an_error() -> None:
    store = Deleting()
    store.fail("delete_manifest", lambda: AccessDenied("reg.example/app: denied"))

    with pytest.raises(AccessDenied):
        deleted(store, "reg.example/app:1")
