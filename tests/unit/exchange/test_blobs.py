"""A tool is told that a blob is there by the rule that placing follows: its size must be right."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from image_tools.errors import DigestMismatch
from image_tools.exchange import blobs
from image_tools.exchange.api import Endpoint, Route
from image_tools.exchange.ledger import Ledger, Step, Traffic
from image_tools.exchange.sessions import ToolSession
from image_tools.oci.digest import Digest
from tests.helpers.memory_store import MemoryStore

NAME, OTHER = "team/app", "team/base"
WHOLE, SHORT = b"the whole blob", b"the whole"
DIGEST = Digest.of(WHOLE)


@dataclass
class Bench:
    """A destination whose repository holds SHORT under the digest of WHOLE."""

    store: MemoryStore = field(default_factory=MemoryStore)
    ledger: Ledger = field(default_factory=Ledger)

    def __post_init__(self) -> None:
        self.store.repositories[NAME].blobs[DIGEST] = SHORT

    def session(self, **more: Any) -> ToolSession:
        return ToolSession(
            key="d1",
            store=self.store,
            repository=NAME,
            traffic=Traffic(),
            ledger=self.ledger,
            **more,
        )


def status(session: ToolSession) -> int:
    route = Route(Endpoint.BLOB_HEAD, subject=str(DIGEST))
    return asyncio.run(blobs.head(session, route, None)).status  # type: ignore[arg-type]


async def size_at_the_source(_digest: Digest) -> int | None:
    return len(WHOLE)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"expected": {DIGEST: len(WHOLE)}}, 404),
        ({"expected": {DIGEST: len(SHORT)}}, 200),
        ({"origin_size": size_at_the_source}, 404),
        ({}, 200),
    ],
    ids=["wrong-size", "right-size", "size-of-the-source", "unknown-size"],
)
def test_head_of_a_blob_is_answered_by_its_size(known: dict[str, Any], expected: int) -> None:
    bench = Bench()

    assert status(bench.session(**known)) == expected
    assert (bench.ledger.size(NAME, DIGEST) is not None) is (expected == 200)


def test_head_of_a_blob_known_in_another_size_looks_again() -> None:
    bench = Bench()
    bench.ledger.note(NAME, DIGEST, len(SHORT))
    session = bench.session(expected={DIGEST: len(WHOLE)})

    assert status(session) == 404
    assert not session.holds(DIGEST)


def test_head_of_a_blob_that_lies_elsewhere_in_another_size_mounts_nothing() -> None:
    bench = Bench()
    bench.store.repositories[OTHER].blobs[DIGEST] = SHORT
    bench.ledger.note(OTHER, DIGEST, len(SHORT))

    assert status(bench.session(expected={DIGEST: len(WHOLE)})) == 404
    assert bench.store.count("mount") == 0


@pytest.mark.parametrize("kept", [True, False])
def test_blob_a_tool_has_sent_over_a_short_one_counts_only_where_the_registry_took_it(
    kept: bool,
) -> None:
    bench = Bench()
    session = bench.session(expected={DIGEST: len(WHOLE)})
    assert status(session) == 404
    if not kept:
        bench.store.add_blob(NAME, WHOLE)

    async def arrive() -> None:
        await session.arrived(DIGEST, len(WHOLE))

    if kept:
        with pytest.raises(DigestMismatch, match="9 bytes of it, not 14") as caught:
            asyncio.run(arrive())
        assert "remove that blob there" in caught.value.advice
        assert bench.ledger.size(NAME, DIGEST) is None
        return
    asyncio.run(arrive())
    assert bench.ledger.size(NAME, DIGEST) == len(WHOLE)


@pytest.mark.parametrize(
    ("size", "step"), [(None, Step.HAVE), (len(SHORT), Step.HAVE), (len(WHOLE), Step.SEND)]
)
def test_ledger_knows_a_blob_only_in_the_size_that_is_asked_for(
    size: int | None, step: Step
) -> None:
    bench = Bench()
    bench.ledger.note(NAME, DIGEST, len(SHORT))

    assert bench.ledger.ask(NAME, DIGEST, size).step is step
