"""Blobs are placed once, however many repositories want them and whoever fails on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.errors import (
    AccessDenied,
    DigestMismatch,
    ImageToolsError,
    NotFound,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from image_tools.exchange.ledger import Ledger, Step, Traffic
from image_tools.exchange.placing import PATIENCE, Patience, Placement, Placer, landing
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.retry import RetryPolicy
from tests.helpers.examples import examples
from tests.helpers.memory_store import MemoryStore

CONTENT = b"layer" * 2000
BLOB = Descriptor(media_type="", digest=Digest.of(CONTENT), size=len(CONTENT))
MANY = [f"team/app{number}" for number in range(20)]


class Site:
    """A source that holds the blob in every repository, a destination, and a placer."""

    def __init__(
        self,
        *,
        lanes: int = 8,
        times: int = 0,
        mounts: bool = True,
        patience: Patience = PATIENCE,
    ) -> None:
        self.source, self.destination = MemoryStore("source"), MemoryStore(mounts=mounts)
        self.ledger, self.traffic = Ledger(), Traffic()
        for name in MANY:
            self.source.add_blob(name, CONTENT)
        self.placer = Placer(
            self.destination,
            self.ledger,
            RetryPolicy(times=times, delay=0.0),
            lanes,
            patience,
        )

    def wish(self, repository: str, content: bytes | None = None) -> Placement:
        return Placement(
            blob=BLOB,
            origin=self.source,
            origin_repository=repository,
            repository=repository,
            traffic=self.traffic,
            content=content,
        )

    async def place(self, *names: str) -> list[BaseException | None]:
        """Place into all of `names` at once; what each of them raised."""
        works = (self.placer.place(self.wish(name)) for name in names)
        return await asyncio.gather(*works, return_exceptions=True)

    def counts(self) -> tuple[int, int, int]:
        """Blobs fetched, blobs uploaded, mounts asked for."""
        fetched = self.source.count("blob")
        return fetched, self.destination.count("put"), self.destination.count("mount")

    def at_rest(self) -> bool:
        return not self.ledger.flights and not self.destination.open_uploads


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scene(), 10)

    asyncio.run(bounded())


@pytest.mark.parametrize("lanes", [1, 2, 20])
def test_place_into_twenty_repositories_fetches_once_uploads_once_and_mounts(lanes) -> None:
    async def scene() -> None:
        site = Site(lanes=lanes)

        assert await site.place(*MANY) == [None] * 20

        assert site.destination.places(BLOB.digest) == sorted(MANY)
        assert site.counts() == (1, 1, 19)
        assert (site.traffic.bytes_read, site.traffic.bytes_written) == (BLOB.size, BLOB.size)
        assert site.at_rest()

    run(scene)


def test_place_again_asks_nobody() -> None:
    async def scene() -> None:
        site = Site()
        await site.place("team/app1")
        site.source.calls.clear()
        site.destination.calls.clear()

        assert await site.place("team/app1", "team/app1") == [None, None]
        assert site.source.calls + site.destination.calls == []

    run(scene)


def test_place_what_lies_there_already_sends_nothing() -> None:
    async def scene() -> None:
        site = Site()
        site.destination.add_blob("team/app1", CONTENT)

        await site.place("team/app1", "team/app2")

        assert site.counts() == (0, 0, 1)
        assert site.traffic.bytes_written == 0

    run(scene)


def test_place_what_lies_there_cut_short_is_sent_anew() -> None:
    async def scene() -> None:
        site = Site()
        site.destination.repositories["team/app1"].blobs[BLOB.digest] = CONTENT[:-1]

        assert await site.place("team/app1") == [None]

        assert site.destination.repositories["team/app1"].blobs[BLOB.digest] == CONTENT
        assert site.counts() == (1, 1, 0)

    run(scene)


def test_place_what_stays_cut_short_is_a_failure_and_not_booked() -> None:
    class Keeping(MemoryStore):
        async def blob_size(self, repository: str, digest: Digest) -> int | None:
            await super().blob_size(repository, digest)
            return 0

    async def scene() -> None:
        site = Site(times=2)
        site.destination = Keeping("keeping.example")
        site.placer = Placer(site.destination, site.ledger, RetryPolicy(times=2, delay=0.0), 8)

        (error,) = await site.place("team/app1")

        assert isinstance(error, DigestMismatch)
        assert f"keeping.example/team/app1@{BLOB.digest}: the registry has 0 bytes" in str(error)
        assert site.ledger.size("team/app1", BLOB.digest) is None
        assert site.counts() == (2, 2, 0)

    run(scene)


@pytest.mark.parametrize("is_whole", [True, False])
def test_place_from_a_repository_nobody_has_looked_into_mounts_only_a_whole_blob(is_whole) -> None:
    async def scene() -> None:
        site = Site()
        there = CONTENT if is_whole else CONTENT[:-1]
        site.destination.repositories["source"].blobs[BLOB.digest] = there
        site.ledger.suppose("source", BLOB.digest, BLOB.size)

        assert await site.place("team/app1") == await site.place("team/app2") == [None]

        held = [site.destination.repositories[name].blobs[BLOB.digest] for name in MANY[1:3]]
        assert held == [CONTENT, CONTENT]
        assert site.counts() == ((0, 0, 2) if is_whole else (1, 1, 2))
        # Seen once, it is known.
        assert site.destination.count("blob_size") == (1 if is_whole else 2)

    run(scene)


def test_place_known_content_reads_nothing_from_the_source() -> None:
    async def scene() -> None:
        site = Site()

        await site.placer.place(site.wish("team/app1", CONTENT))

        assert site.counts() == (0, 1, 0)
        assert (site.traffic.bytes_read, site.traffic.bytes_written) == (0, BLOB.size)

    run(scene)


FAILURES = {
    "source-unknown": ("source", "blob", NotFound),
    "source-cut": ("source", "chunk", Unavailable),
    "upload-refused": ("destination", "upload", AccessDenied),
    "upload-broken": ("destination", "receive", Unavailable),
    "commit-broken": ("destination", "put", Unavailable),
    "look-refused": ("destination", "blob_size", Unauthorized),
    "no-tool-error": ("destination", "receive", OSError),
}


@pytest.mark.parametrize(("side", "operation", "kind"), FAILURES.values(), ids=FAILURES)
def test_place_first_sender_fails_a_waiter_takes_over(side, operation, kind) -> None:
    async def scene() -> None:
        site = Site()
        store = site.source if side == "source" else site.destination
        store.fail(operation, lambda: kind("broken"))

        results = await site.place(*MANY)

        assert [type(result) for result in results] == [kind] + [type(None)] * 19
        assert site.destination.places(BLOB.digest) == sorted(MANY[1:])
        assert site.destination.count("mount") == 18
        assert site.at_rest()

    run(scene)


def test_place_all_fail_everybody_is_told() -> None:
    async def scene() -> None:
        site = Site(lanes=2)
        site.source.fail("blob", lambda: NotFound("gone"), times=20)

        results = await site.place(*MANY)

        assert [str(result) for result in results] == ["gone"] * 20
        assert site.at_rest()

    run(scene)


def test_place_sender_cancelled_a_waiter_takes_over() -> None:
    async def scene() -> None:
        site = Site()
        gate = site.source.hold("chunk", "team/app0")
        sender = asyncio.create_task(site.placer.place(site.wish("team/app0")))
        await gate.reached.wait()
        waiters = asyncio.create_task(site.place(*MANY[1:]))
        await asyncio.sleep(0)

        sender.cancel()

        with pytest.raises(asyncio.CancelledError):
            await sender
        assert await waiters == [None] * 19
        assert site.destination.places(BLOB.digest) == sorted(MANY[1:])
        assert site.at_rest()

    run(scene)


def test_place_waiter_cancelled_leaves_the_flight_alone() -> None:
    async def scene() -> None:
        site = Site()
        gate = site.source.hold("chunk")
        sender = asyncio.create_task(site.placer.place(site.wish("team/app0")))
        await gate.reached.wait()
        waiter = asyncio.create_task(site.placer.place(site.wish("team/app0")))
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.wait([waiter])

        gate.open()
        await sender

        assert site.counts() == (1, 1, 0)
        assert site.at_rest()

    run(scene)


def test_place_while_all_lanes_are_taken_opens_no_flight() -> None:
    async def scene() -> None:
        site = Site(lanes=1)
        gate = site.source.hold("chunk")
        other = b"other"
        site.source.add_blob("other", other)
        blob = Descriptor(media_type="", digest=Digest.of(other), size=len(other))
        wish = Placement(
            blob=blob,
            origin=site.source,
            origin_repository="other",
            repository="other",
            traffic=site.traffic,
        )
        first = asyncio.create_task(site.placer.place(site.wish("team/app0")))
        second = asyncio.create_task(site.placer.place(wish))
        await gate.reached.wait()

        # A flight that only waits for a lane would look silent, and be taken over.
        assert [flight.digest for flight in site.ledger.flights] == [BLOB.digest]
        gate.open()
        await asyncio.gather(first, second)

        assert site.destination.places(blob.digest) == ["other"]

    run(scene)


def test_place_from_a_silent_source_leaves_the_lanes_of_others_free() -> None:
    async def scene() -> None:
        site, other = Site(lanes=1), MemoryStore("other")
        gate = site.source.hold("chunk")
        content = b"other"
        blob = Descriptor(media_type="", digest=Digest.of(content), size=len(content))
        other.add_blob("other", content)
        silent = asyncio.create_task(site.placer.place(site.wish("team/app0")))
        await gate.reached.wait()

        await site.placer.place(
            Placement(
                blob=blob,
                origin=other,
                origin_repository="other",
                repository="other",
                traffic=site.traffic,
            )
        )
        gate.open()
        await silent

        assert site.destination.places(blob.digest) == ["other"]

    run(scene)


def test_place_blob_stuck_at_a_silent_source_is_brought_from_another() -> None:
    async def scene() -> None:
        site, other = Site(patience=Patience(elsewhere=0.02)), MemoryStore("other")
        other.add_blob("team/app1", CONTENT)
        gate = site.source.hold("chunk")
        silent = asyncio.create_task(site.placer.place(site.wish("team/app0")))
        await gate.reached.wait()

        await site.placer.place(replace(site.wish("team/app1"), origin=other))
        there_meanwhile = site.destination.places(BLOB.digest)
        gate.open()
        await silent

        assert there_meanwhile == ["team/app1"]
        assert site.destination.places(BLOB.digest) == ["team/app0", "team/app1"]

    run(scene)


def test_landing_cancelled_as_the_flight_lands_is_cancelled_all_the_same() -> None:
    async def scene() -> None:
        site = Site()
        flight = site.ledger.ask("team/app0", BLOB.digest).flight
        assert flight is not None
        waiter = asyncio.create_task(landing(site.ledger, flight))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        site.ledger.crash(flight)
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.wait([waiter])

        assert waiter.cancelled()

    run(scene)


MOUNT_FAILURES = {
    "denied": (AccessDenied, None),
    "unauthorized": (Unauthorized, None),
    "unknown": (NotFound, None),
    "broken": (Unavailable, None),
    "limited": (RateLimited, RateLimited),
}


@pytest.mark.parametrize(("kind", "raised"), MOUNT_FAILURES.values(), ids=MOUNT_FAILURES)
def test_place_mount_that_fails_is_sent_instead(kind, raised) -> None:
    async def scene() -> None:
        site = Site()
        await site.place("team/app0")
        site.destination.fail("mount", lambda: kind("no"))

        (result,) = await site.place("team/app1")

        assert type(result) is (raised or type(None))
        assert site.counts() == ((1, 1, 1) if raised else (2, 2, 1))
        assert site.at_rest()

    run(scene)


def test_place_mount_answered_by_an_upload_uses_that_upload() -> None:
    async def scene() -> None:
        site = Site(mounts=False)
        await site.place("team/app0")

        assert await site.place("team/app1") == [None]

        assert site.counts() == (2, 2, 1)
        assert site.destination.count("upload") == 1
        assert site.at_rest()

    run(scene)


def test_place_at_a_store_that_never_mounts_stops_asking_for_it() -> None:
    async def scene() -> None:
        site = Site(mounts=False)
        await site.place("team/app0")
        for name in MANY[1:]:
            await site.place(name)

        assert site.destination.count("mount") == 3
        assert site.destination.places(BLOB.digest) == sorted(MANY)

    run(scene)


def test_place_temporary_failure_is_tried_again_by_the_same_one() -> None:
    async def scene() -> None:
        site = Site(times=2)
        site.source.fail("chunk", lambda: Unavailable("cut"), times=2)

        assert await site.place(*MANY) == [None] * 20

        assert site.counts() == (3, 3, 19)
        assert site.destination.count("abort") == 2
        assert site.at_rest()

    run(scene)


def test_place_retry_finds_what_the_attempt_before_had_brought() -> None:
    async def scene() -> None:
        site = Site(times=1)
        site.destination.fail("upload", lambda: Unavailable("late answer"))
        site.destination.add_blob("elsewhere", CONTENT)
        gate = site.destination.hold("upload")
        placed = asyncio.create_task(site.placer.place(site.wish("team/app0")))
        await gate.reached.wait()
        site.destination.add_blob("team/app0", CONTENT)
        gate.open()

        await placed

        assert site.counts() == (0, 0, 0)

    run(scene)


def test_place_wrong_bytes_are_refused_and_not_booked() -> None:
    async def scene() -> None:
        site = Site()
        site.source.repositories["team/app0"].blobs[BLOB.digest] = b"wrong"

        (result,) = await site.place("team/app0")

        assert isinstance(result, DigestMismatch)
        assert site.ledger.ask("team/app0", BLOB.digest).step is Step.SEND
        assert site.destination.places(BLOB.digest) == []

    run(scene)


def test_landing_of_a_silent_flight_is_given_up() -> None:
    async def scene() -> None:
        site = Site(patience=Patience(own=0.01))
        silent = site.ledger.ask("team/app0", BLOB.digest).flight
        assert silent is not None

        assert await site.place("team/app1", "team/app0") == [None, None]

        assert silent.landed.is_set()
        assert site.counts() == (1, 1, 1)

    run(scene)


troubles = st.lists(
    st.tuples(
        st.sampled_from([("source", "blob"), ("source", "chunk"), ("destination", "put")])
        | st.sampled_from([("destination", op) for op in ("mount", "upload", "receive")]),
        st.sampled_from([NotFound, Unavailable, AccessDenied]),
        st.integers(1, 4),
    ),
    max_size=4,
)


@given(troubles, st.integers(1, 4), st.booleans(), st.sets(st.integers(0, 9), max_size=3))
@examples(40)
def test_place_under_any_trouble_ends_for_everybody(given_troubles, lanes, mounts, cut) -> None:
    async def scene() -> None:
        site = Site(lanes=lanes, times=1, mounts=mounts)
        for (side, operation), kind, times in given_troubles:
            store = site.source if side == "source" else site.destination
            store.fail(operation, partial(kind, "trouble"), times=times)
        names = MANY[:10]
        tasks = [asyncio.create_task(site.placer.place(site.wish(name))) for name in names]
        for number in sorted(cut):
            for _ in range(number):
                await asyncio.sleep(0)
            tasks[number].cancel()

        results = await asyncio.gather(*tasks, return_exceptions=True)

        expected = (type(None), ImageToolsError, asyncio.CancelledError)
        assert all(isinstance(result, expected) for result in results)
        well = {name for name, result in zip(names, results, strict=True) if result is None}
        assert well <= set(site.destination.places(BLOB.digest))
        assert site.at_rest()

    run(scene)
