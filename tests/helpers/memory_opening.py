"""An Opening whose registries are stores in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from image_tools.oci.reference import Reference
from tests.helpers.memory_store import MemoryStore

T = TypeVar("T")


class MemoryOpening:
    """Gives `stores` by their names; `announced` are the references that were announced."""

    def __init__(self, *stores: Any) -> None:
        self._stores = {store.name: store for store in stores}
        self.announced: list[str] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`."""
        return asyncio.run(work)

    def source(self, registry: str) -> MemoryStore:
        """Return the store to read from."""
        return self._stores[registry]

    def registry(self, registry: str) -> Any:
        """Return the store to write to."""
        return self._stores[registry]

    def expect(self, references: Iterable[Reference]) -> None:
        """Note what is announced."""
        self.announced += map(str, references)
