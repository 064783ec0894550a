"""One row for every line of a list."""

from __future__ import annotations

from typing import Any, cast

import pytest

from image_tools.commands.inspect_list import InspectListRequest, RowList, inspect_list
from image_tools.errors import AccessDenied
from image_tools.imagelist.entry import Problem
from image_tools.imagelist.reader import read_names
from image_tools.imagelist.registries import Registries
from tests.helpers.memory_opening import MemoryOpening
from tests.helpers.memory_run import add_image
from tests.helpers.memory_store import MemoryStore

AMD, ARM = "linux/amd64", "linux/arm64"


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore("reg.example")
    add_image(store, "app", "1", AMD, ARM)
    return store


def rows(store: MemoryStore, *lines: str, sizes: bool = False) -> tuple[RowList, MemoryOpening]:
    opening = MemoryOpening(store)
    text = "".join(f"{line}\n" for line in lines)
    names, problems = read_names(text.encode(), "list.txt", Registries(source="reg.example"))
    request = InspectListRequest(names=names, problems=problems, sizes=sizes)
    return inspect_list(request, cast(Any, opening)), opening


def test_rows_are_in_the_order_of_the_list_whatever_became_of_them(store: MemoryStore) -> None:
    found, opening = rows(store, "none:1", "Not!Valid", "app:1")

    assert [row.status.value for row in found.rows] == ["failed", "invalid", "found"]
    assert [row.kind for row in found.rows] == ["not-found", "invalid-line", ""]
    assert (found.exit_code, opening.announced) == (
        1,
        ["reg.example/none:1", "reg.example/app:1"],
    )
    assert found.to_json()["counts"] == {"found": 1, "failed": 1, "invalid": 1}


@pytest.mark.parametrize("sizes", [False, True])
def test_row_has_sizes_only_where_they_are_asked_for(store: MemoryStore, sizes: bool) -> None:
    found, _ = rows(store, "app:1", sizes=sizes)
    (row,) = found.rows
    size = sum(map(len, store.repositories["app"].blobs.values()))

    assert (row.platforms, row.size) == ((AMD, ARM), size if sizes else None)
    assert (found.exit_code, store.count("manifest")) == (0, 3 if sizes else 1)


def test_row_of_a_registry_that_refuses_tells_why(store: MemoryStore) -> None:
    store.fail("manifest_head", lambda: AccessDenied("reg.example/app: denied", advice="log in"))
    (row,) = rows(store, "app:1")[0].rows

    assert (row.reason, row.kind, row.advice) == (
        "reg.example/app: denied",
        "access-denied",
        "log in",
    )
    assert row.to_json()["digest"] == ""


def test_list_of_invalid_lines_alone_asks_nothing(store: MemoryStore) -> None:
    request = InspectListRequest(
        names=(), problems=(Problem(number=1, line=1, raw="x y", reason="no image"),)
    )

    found = inspect_list(request, cast(Any, MemoryOpening(store)))

    assert [row.reason for row in found.rows] == ["no image"]
    assert store.calls == []
