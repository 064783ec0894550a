"""The tag is looked at after it was written; a registry may take a moment to show it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from image_tools.errors import IntegrityError
from image_tools.oci import media
from image_tools.oci.manifest import RawManifest
from image_tools.retry import RetryPolicy
from image_tools.run.line.confirm import read_back
from tests.helpers.memory_store import MemoryStore

OLD, NEW = RawManifest(media.OCI_INDEX, b"old"), RawManifest(media.OCI_INDEX, b"new")


class Late(MemoryStore):
    """A registry that shows a tag as it was before, so many times."""

    def __init__(self, late: int, before: RawManifest | None) -> None:
        super().__init__()
        self.late, self.before = late, before
        if before is not None:
            self.add_manifest("app", before, "1")

    async def manifest_head(self, repository: str, reference: Any) -> Any:
        if self.late == 0:
            self.add_manifest("app", NEW, "1")
        self.late -= 1
        return await super().manifest_head(repository, reference)


def look(store: MemoryStore) -> None:
    place = SimpleNamespace(store=store, name="app")
    job: Any = SimpleNamespace(
        destination=place, tag="1", entry=SimpleNamespace(destination="reg/app:1")
    )
    asyncio.run(read_back(RetryPolicy(times=2, delay=0.0), job, NEW.digest))


@pytest.mark.parametrize("before", [None, OLD])
@pytest.mark.parametrize("late", [0, 1, 2])
def test_read_back_tag_that_shows_late_is_found(late: int, before: RawManifest | None) -> None:
    store = Late(late, before)
    look(store)
    assert store.count("manifest_head") == late + 1


@pytest.mark.parametrize(("before", "shown"), [(None, "nothing"), (OLD, str(OLD.digest))])
def test_read_back_tag_that_stays_wrong_is_a_failure(
    before: RawManifest | None, shown: str
) -> None:
    store = Late(99, before)
    with pytest.raises(IntegrityError, match=f"reg/app:1: .* but the registry shows {shown}"):
        look(store)
    assert store.count("manifest_head") == 3
