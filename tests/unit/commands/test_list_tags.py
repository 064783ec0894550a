"""The tags of a repository: a request in, a list out."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest

from image_tools.commands.list_tags import ListTagsRequest, TagList, list_tags
from image_tools.errors import NotFound
from image_tools.oci.reference import Reference
from tests.helpers.descriptors import index
from tests.helpers.memory_opening import MemoryOpening
from tests.helpers.memory_store import MemoryStore

APP = Reference("reg.example", "team/app")


def tags(request: ListTagsRequest, *names: str) -> TagList:
    store = MemoryStore("reg.example")
    for name in names:
        store.add_manifest("team/app", index(), name)
    return list_tags(request, cast(Any, MemoryOpening(store)))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [(None, ("1.2", "1.10", "latest")), ("1", ("1.2", "1.10")), ("^9", ())],
)
def test_tags_are_those_that_match_in_the_order_of_versions(
    pattern: str | None, expected: tuple[str, ...]
) -> None:
    request = ListTagsRequest(
        repository=APP, pattern=None if pattern is None else re.compile(pattern)
    )
    found = tags(request, "latest", "1.10", "1.2")

    assert found == TagList(repository="reg.example/team/app", tags=expected, total=3)
    assert found.to_json() == {
        "schema": 1,
        "command": "list-tags",
        "repository": "reg.example/team/app",
        "total": 3,
        "tags": list(expected),
    }


def test_tags_of_an_unknown_repository_are_an_error() -> None:
    with pytest.raises(NotFound):
        tags(ListTagsRequest(repository=APP))
