"""The way to registries for commands that ask a few questions and start no tool."""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from image_tools.commands.ends import RegistryEnd
from image_tools.machine.event_loop import LoopThread, result_of
from image_tools.oci.reference import Reference
from image_tools.retry import RetryPolicy
from image_tools.run.endpoints import Endpoints, OnSecret
from image_tools.stores.remote.registries_conf import RegistriesConf, load
from image_tools.stores.remote.registry import Remote
from image_tools.stores.store import Store

T = TypeVar("T")
_FLIGHTS = 1  # no blob is placed


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach:
    """How the registries of a command are reached, and how often a question is repeated.

    Without `mirrors` a registries.conf is not even read.
    """

    end: RegistryEnd
    retry: RetryPolicy = RetryPolicy()
    mirrors: bool = True


class Opening:
    """Stores, opened when first asked for, and the event loop they belong to."""

    def __init__(self, loop: LoopThread, ends: Endpoints) -> None:
        self._loop, self._ends = loop, ends

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, done on the event loop; it is cancelled when the waiting ends."""
        future = self._loop.submit(work)
        try:
            return result_of(future)
        except BaseException:
            future.cancel()
            raise

    def source(self, registry: str) -> Store:
        """The store to read `registry` from, by way of its mirrors; for use on the loop."""
        return self._ends.source_store(registry)

    def registry(self, registry: str) -> Remote:
        """The registry itself, to change something there; for use on the loop."""
        return self._ends.registry(registry)

    def expect(self, references: Iterable[Reference]) -> None:
        """Announce what will be read, so that one token serves it; for use on the loop."""
        self._ends.expect(references, ())


@contextmanager
def opened(
    approach: Approach,
    registries: Collection[str],
    environ: Mapping[str, str],
    *,
    on_secret: OnSecret = lambda *_: None,
) -> Iterator[Opening]:
    """An Opening for `registries`; its connections and its thread are gone behind the context."""
    access = approach.end.access(registries)
    ends = Endpoints(
        source=access,
        destination=access,
        retry=approach.retry,
        flights=_FLIGHTS,
        environ=environ,
        conf=load(environ) if approach.mirrors else RegistriesConf(),
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
