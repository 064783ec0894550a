"""Opens registries for commands that ask a few questions and start no tool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from image_tools.machine.concurrency import together
from image_tools.machine.event_loop import LoopThread, result_of
from image_tools.oci.reference import Reference
from image_tools.retry import RetryPolicy
from image_tools.run.endpoints import Endpoints, OnSecret, RegistryEnd
from image_tools.stores.remote.registries_conf import RegistriesConf, load
from image_tools.stores.remote.registry import Remote
from image_tools.stores.store import Store

S = TypeVar("S")
T = TypeVar("T")
# More at once would only wait in each registry's own window.
MOST_AT_ONCE = 16
_FLIGHTS = 1  # No blob is placed.


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAccess:
    """How the registries of a command are reached; `mirrors` are those of registries.conf."""

    end: RegistryEnd
    retry: RetryPolicy = RetryPolicy()
    mirrors: bool = True


class Opening:
    """The stores of a command, opened when first used, and the event loop they belong to."""

    def __init__(self, loop: LoopThread, ends: Endpoints) -> None:
        self._loop, self._ends = loop, ends

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`, done on the event loop; an exception here cancels it."""
        future = self._loop.submit(work)
        try:
            return result_of(future)
        except BaseException:
            future.cancel()
            raise

    def source(self, registry: str) -> Store:
        """Return the store to read `registry` from, through its mirrors; used on the loop."""
        return self._ends.source_store(registry)

    def registry(self, registry: str) -> Remote:
        """Return the registry itself, to write there; used on the loop."""
        return self._ends.registry(registry)

    def expect(self, references: Iterable[Reference]) -> None:
        """Announce what will be read, so that one token serves it; used on the loop."""
        self._ends.expect(references, ())


@contextmanager
def opened(
    access: RegistryAccess,
    registries: Collection[str],
    environ: Mapping[str, str],
    *,
    on_secret: OnSecret = lambda *_: None,
) -> Iterator[Opening]:
    """Yield an Opening for `registries`, and close its connections and its thread at the end."""
    end = access.end.among(registries)
    ends = Endpoints(
        source=end,
        destination=end,
        retry=access.retry,
        flights=_FLIGHTS,
        environ=environ,
        conf=load(environ) if access.mirrors else RegistriesConf(),
        on_secret=on_secret,
    )
    loop = LoopThread()
    try:
        yield Opening(loop, ends)
    finally:
        try:
            result_of(loop.submit(ends.close()))
        finally:
            loop.stop()


async def ask_each(
    items: Iterable[S], ask: Callable[[S], Coroutine[Any, Any, T]], at_once: int = MOST_AT_ONCE
) -> list[T]:
    """Return the answer for each item, in their order; at most `at_once` are asked at a time.

    The first failure cancels the rest and is raised: `ask` turns what is a row of the result
    into one.
    """
    places = asyncio.Semaphore(at_once)

    async def asked(item: S) -> T:
        async with places:
            return await ask(item)

    return await together(asked(item) for item in items)
