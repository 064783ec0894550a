"""What is known of one destination: blobs and flights, closed places, counted bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from image_tools.errors import CopyFailed, QuotaExceeded, ReadOnly, Scope, TagImmutable, Unavailable
from image_tools.exchange.ledger import (
    REFUSALS_UNTIL_NO_MOUNT,
    ClosedPlaces,
    Flight,
    Instruction,
    Ledger,
    Step,
    Traffic,
)
from image_tools.oci.digest import Digest
from tests.helpers.examples import examples

X, Y = Digest.of(b"x"), Digest.of(b"y")
SIZES = {X: 1, Y: 2}
CHUNKS = [b"one", b"three", b""]


def flight_of(answer: Instruction) -> Flight:
    assert answer.flight is not None
    return answer.flight


def test_ask_for_a_new_blob_sends_and_opens_one_flight() -> None:
    ledger = Ledger()

    answer = ledger.ask("a", X)
    flight = flight_of(answer)

    assert answer.step is Step.SEND
    assert ledger.flights == (flight,)
    assert (flight.repository, flight.digest, flight.origin) == ("a", X, None)


@pytest.mark.parametrize("repository", ["a", "b"])
def test_ask_while_it_is_sent_waits_for_that_flight(repository) -> None:
    ledger = Ledger()
    flight = flight_of(ledger.ask("a", X))

    answer = ledger.ask(repository, X)

    assert (answer.step, answer.flight) == (Step.WAIT, flight)
    assert ledger.ask(repository, Y).step is Step.SEND


def test_land_lets_the_same_repository_have_it_and_others_mount() -> None:
    ledger = Ledger()
    flight = flight_of(ledger.ask("a", X))

    ledger.land(flight, 7)

    assert flight.landed.is_set()
    assert (ledger.flights, ledger.size("a", X), ledger.size("b", X)) == ((), 7, None)
    assert ledger.ask("a", X) == ledger.ask("a", X)
    assert ledger.ask("a", X).step is Step.HAVE
    mounting = ledger.ask("b", X)
    assert (mounting.step, flight_of(mounting).origin) == (Step.MOUNT, "a")


def test_two_repositories_mount_at_once() -> None:
    ledger = Ledger()
    ledger.note("a", X, 1)

    assert [ledger.ask(name, X).step for name in "bcb"] == [Step.MOUNT, Step.MOUNT, Step.WAIT]


def test_crash_lets_the_next_one_take_over() -> None:
    ledger = Ledger()
    first = flight_of(ledger.ask("a", X))
    ledger.crash(first)

    second = ledger.ask("b", X)

    assert first.landed.is_set()
    assert second.step is Step.SEND


def test_crash_of_a_flight_given_up_long_ago_leaves_the_new_one_alone() -> None:
    ledger = Ledger()
    first = flight_of(ledger.ask("a", X))
    ledger.crash(first)
    second = flight_of(ledger.ask("a", X))

    ledger.crash(first)

    assert ledger.flights == (second,)
    assert not second.landed.is_set()


def test_land_of_a_flight_given_up_long_ago_counts_all_the_same() -> None:
    ledger = Ledger()
    first = flight_of(ledger.ask("a", X))
    ledger.crash(first)
    second = flight_of(ledger.ask("a", X))

    ledger.land(first, 3)

    assert ledger.flights == (second,)
    assert ledger.ask("a", X).step is Step.HAVE


def test_refused_mounts_without_a_granted_one_end_all_mounting() -> None:
    ledger = Ledger()
    ledger.note("a", X, 1)
    for number in range(REFUSALS_UNTIL_NO_MOUNT):
        flight = flight_of(ledger.ask(f"r{number}", X))
        ledger.refuse_mount(flight)
        assert flight.origin is None

    assert not ledger.mounts_work
    assert [ledger.ask(name, Y).step for name in "bc"] == [Step.SEND, Step.SEND]


def test_refused_mounts_after_a_granted_one_go_on_mounting() -> None:
    ledger = Ledger()
    ledger.note("a", X, 1)
    ledger.land(flight_of(ledger.ask("b", X)), 1)
    for number in range(10):
        ledger.refuse_mount(flight_of(ledger.ask(f"r{number}", X)))

    assert ledger.ask("c", X).step is Step.MOUNT


def test_forget_takes_a_place_back() -> None:
    ledger = Ledger()
    ledger.note("a", X, 1)
    ledger.note("b", X, 1)

    ledger.forget("a", X)
    ledger.forget("nowhere", Y)

    assert ledger.size("a", X) is None
    answer = ledger.ask("a", X)
    assert (answer.step, flight_of(answer).origin) == (Step.MOUNT, "b")


class AnyOrder(RuleBasedStateMachine):
    """Six askers of two blobs in three repositories; whatever happens, happens to a flight."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.wishes = [(name, digest) for name in "abc" for digest in (X, Y)] * 2
        self.idle = set(range(len(self.wishes)))
        self.waiting: dict[int, Flight] = {}
        self.flying: dict[int, Flight] = {}
        self.places: set[tuple[str, Digest]] = set()

    def ask(self, asker: int) -> Step:
        repository, digest = self.wishes[asker]
        mounts_work, open_flights = self.ledger.mounts_work, self.ledger.flights
        known = (repository, digest) in self.places
        answer = self.ledger.ask(repository, digest)
        assert (answer.step is Step.HAVE) == known == (answer.flight is None)
        self.idle.discard(asker)
        self.waiting.pop(asker, None)
        if answer.flight is None:
            return answer.step
        assert not answer.flight.landed.is_set()
        if answer.step is Step.WAIT:
            assert answer.flight in open_flights
            self.waiting[asker] = answer.flight
            return answer.step
        assert answer.flight not in open_flights
        self.flying[asker] = answer.flight
        if answer.step is Step.MOUNT:
            assert (answer.flight.origin, digest) in self.places
        else:
            assert answer.flight.origin is None
            assert not mounts_work or all(flight.digest != digest for flight in open_flights)
        return answer.step

    def land(self, asker: int) -> None:
        flight = self.flying.pop(asker)
        self.ledger.land(flight, SIZES[flight.digest])
        self.places.add((flight.repository, flight.digest))

    def free(self) -> list[int]:
        woken = [asker for asker, flight in self.waiting.items() if flight.landed.is_set()]
        return sorted([*self.idle, *woken])

    @precondition(lambda self: self.free())
    @rule(data=st.data())
    def somebody_asks(self, data: st.DataObject) -> None:
        asker = data.draw(st.sampled_from(self.free()))
        if self.ask(asker) is Step.HAVE:
            self.idle.add(asker)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), well=st.booleans())
    def a_flight_ends(self, data: st.DataObject, well: bool) -> None:
        asker = data.draw(st.sampled_from(sorted(self.flying)))
        if well:
            self.land(asker)
        else:
            self.ledger.crash(self.flying.pop(asker))
        self.idle.add(asker)

    @precondition(lambda self: any(flight.origin for flight in self.flying.values()))
    @rule(data=st.data())
    def a_mount_is_refused(self, data: st.DataObject) -> None:
        mounting = sorted(asker for asker, flight in self.flying.items() if flight.origin)
        self.ledger.refuse_mount(self.flying[data.draw(st.sampled_from(mounting))])

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def a_waiter_is_cancelled(self, data: st.DataObject) -> None:
        asker = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[asker]
        self.idle.add(asker)

    @rule(name=st.sampled_from("abc"), digest=st.sampled_from([X, Y]))
    def a_place_is_forgotten(self, name: str, digest: Digest) -> None:
        self.ledger.forget(name, digest)
        self.places.discard((name, digest))

    @rule(name=st.sampled_from("abcd"), digest=st.sampled_from([X, Y]))
    def a_place_is_found(self, name: str, digest: Digest) -> None:
        self.ledger.note(name, digest, SIZES[digest])
        self.places.add((name, digest))

    @invariant()
    def one_flight_for_one_place(self) -> None:
        flights = self.ledger.flights
        assert len({(flight.repository, flight.digest) for flight in flights}) == len(flights)
        assert set(flights) == set(self.flying.values())
        assert not any(flight.landed.is_set() for flight in flights)

    @invariant()
    def who_waits_waits_for_an_open_flight_or_may_go_on(self) -> None:
        for flight in self.waiting.values():
            assert flight.landed.is_set() or flight in self.ledger.flights

    @invariant()
    def sizes_are_known_where_it_lies(self) -> None:
        for name, digest in self.wishes:
            expected = SIZES[digest] if (name, digest) in self.places else None
            assert self.ledger.size(name, digest) == expected

    def teardown(self) -> None:
        """When every flight lands, everybody gets the blob: nobody hangs."""
        unhappy = set(range(len(self.wishes)))
        for _ in range(2 * len(self.wishes)):
            for asker in sorted(self.flying):
                self.land(asker)
            unhappy -= {asker for asker in sorted(unhappy) if self.ask(asker) is Step.HAVE}
        assert not unhappy
        assert self.ledger.flights == ()


AnyOrder.TestCase.settings = examples(60, stateful_step_count=30)
TestLedgerInAnyOrder = AnyOrder.TestCase


def refused(kind: type[CopyFailed], closes: Scope | None = None) -> CopyFailed:
    error = kind("r.example/team/app: no")
    error.closes = error.closes if closes is None else closes
    return error


@pytest.mark.parametrize(
    ("error", "closed", "still_open"),
    [
        (refused(QuotaExceeded), ["team/app", "team/other", "team"], ["teams/app", "other/app"]),
        (refused(QuotaExceeded, "repository"), ["team/app"], ["team/other", "team"]),
        (refused(QuotaExceeded, "nothing"), [], ["team/app"]),
        (refused(ReadOnly, "registry"), ["team/app", "other/app"], []),
        (refused(TagImmutable), [], ["team/app"]),
        (refused(Unavailable), [], ["team/app"]),
    ],
)
def test_closed_place_is_where_the_refusal_says(
    error: CopyFailed, closed: list[str], still_open: list[str]
) -> None:
    places = ClosedPlaces()
    places.note("team/app", error)

    assert [places.refusal(name) for name in closed] == [error] * len(closed)
    assert [places.refusal(name) for name in still_open] == [None] * len(still_open)


def test_closed_tags_are_those_that_exist() -> None:
    places, error = ClosedPlaces(), refused(TagImmutable)
    places.note("team/app", error)

    assert places.refusal("team/app", changes_tag=True) is error
    assert places.refusal("team/other", changes_tag=True) is None


def test_check_of_a_closed_place_says_that_it_was_not_tried_and_why() -> None:
    places = ClosedPlaces()
    places.note("team/app", refused(QuotaExceeded))

    with pytest.raises(QuotaExceeded) as caught:
        places.check("r.example/team/b:1", "team/b")

    assert str(caught.value) == (
        "r.example/team/b:1: not tried, an earlier push was refused: r.example/team/app: no"
    )
    assert caught.value.closes == "nothing"


def test_first_refusal_of_a_place_is_the_one_that_is_told() -> None:
    places, first = ClosedPlaces(), refused(QuotaExceeded)
    places.note("team/app", first)
    places.note("team/other", refused(QuotaExceeded))

    assert places.refusal("team/b") is first


async def chunks(broken: bool = False) -> AsyncIterator[bytes]:
    for chunk in CHUNKS:
        yield chunk
    if broken:
        raise OSError("cut")


def books(*accounts: Traffic) -> list[tuple[int, int]]:
    return [(traffic.bytes_read, traffic.bytes_written) for traffic in accounts]


def test_accounts_of_two_images_add_up_in_the_runs() -> None:
    run = Traffic()
    first, second = Traffic(run), Traffic(run)

    first.read(1)
    first.wrote(2)
    second.read(10)

    assert books(first, second, run) == [(1, 2), (10, 0), (11, 2)]


def test_reading_and_writing_pass_all_chunks_on() -> None:
    run = Traffic()
    image = Traffic(run)

    async def scene() -> list[bytes]:
        return [chunk async for chunk in image.writing(image.reading(chunks()))]

    assert asyncio.run(scene()) == CHUNKS
    assert books(image, run) == [(8, 8), (8, 8)]


def test_writing_that_stops_counts_the_last_chunk_that_was_taken() -> None:
    image = Traffic()

    async def scene() -> None:
        passing = image.writing(chunks())
        await anext(passing)

    asyncio.run(scene())
    assert books(image) == [(0, 3)]


def test_reading_that_breaks_keeps_what_came() -> None:
    image = Traffic()

    async def scene() -> str:
        try:
            async for _ in image.reading(chunks(broken=True)):
                pass
        except OSError as error:
            return str(error)
        return ""

    assert asyncio.run(scene()) == "cut"
    assert books(image) == [(8, 0)]
