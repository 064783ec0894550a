"""The order of a run's copies, and whose turn is next: tables, and whole runs simulated."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.oci.digest import Digest
from image_tools.plan.schedule import Lane, Work, order, turn

A, B, C = ("a", "r"), ("b", "r"), ("c", "r")
SLOW, QUICK = ("slow", "x"), ("quick", "y")


def work(image: int, blobs: str, lane: Lane = A) -> Work:
    """Each letter is a blob; an upper-case one has 1000 bytes, another one 1."""
    sizes = {Digest.of(x.encode()): 1000 if x.isupper() else 1 for x in blobs}
    return Work(image=image, lane=lane, blobs=sizes)


ORDERS = {
    "nothing": ([], ()),
    "list-order": ([work(1, "a"), work(2, "b")], (0, 1)),
    "large-before-small": ([work(1, "a"), work(2, "B")], (1, 0)),
    "shared-before-large": ([work(1, "ABC"), work(2, "D"), work(3, "D")], (1, 2, 0)),
    "most-shared-first": ([work(1, "aZ"), work(2, "aBC"), work(3, "BC")], (1, 2, 0)),
    "one-image-together": ([work(1, "a"), work(2, "B"), work(1, "C"), work(2, "d")], (0, 2, 1, 3)),
    "no-blobs-last": ([work(1, ""), work(2, "a")], (1, 0)),
}


@pytest.mark.parametrize(("works", "expected"), ORDERS.values(), ids=ORDERS)
def test_order_brings_first_what_others_need(works, expected) -> None:
    assert order(works) == expected


works = st.lists(st.builds(work, st.integers(1, 5), st.text("abCD", max_size=3)), max_size=12)


@given(works)
def test_order_is_a_permutation_that_keeps_images_together(given_works) -> None:
    positions = order(given_works)

    assert sorted(positions) == list(range(len(given_works)))
    images = [given_works[i].image for i in positions]
    changes = sum(here != after for here, after in pairwise(images))
    assert changes == max(0, len(set(images)) - 1)


TURNS = {
    "nobody-waits": ([], [A], 2, None),
    "first-free": ([A, B], [], 1, 0),
    "all-busy": ([A], [B], 1, None),
    "fewest-running-first": ([A, B], [A], 3, 1),
    "one-lane-takes-all": ([A], [A, A], 3, 0),
    "last-slot-is-kept": ([SLOW], [SLOW, SLOW, QUICK], 5, 0),
    "last-slot-is-kept-from-the-slow": ([SLOW, QUICK], [SLOW, SLOW], 3, 1),
    "over-the-limit-nobody": ([SLOW], [QUICK, SLOW, SLOW], 4, 0),
    "at-the-limit": ([SLOW], [QUICK, SLOW, SLOW, SLOW], 5, 0),
    "limit-reached": ([SLOW], [SLOW, SLOW, QUICK], 3, None),
    "limit-while-the-other-waits": ([SLOW, QUICK], [SLOW], 2, 1),
    "shared-destination-is-no-limit": ([A, B], [A], 2, 1),
    "one-slot": ([SLOW, QUICK], [], 1, 0),
    "same-registry-on-both-sides": ([("x", "x"), A], [("x", "x")], 2, 1),
}


@pytest.mark.parametrize(("waiting", "running", "slots", "expected"), TURNS.values(), ids=TURNS)
def test_turn_goes_round_the_registries(waiting, running, slots, expected) -> None:
    assert turn(waiting, running, slots) == expected


registries = st.sampled_from("abcd")
lanes = st.lists(st.tuples(registries, registries), min_size=1, max_size=12)


def may_start(lane: Lane, waiting: list[Lane], running: list[Lane], slots: int) -> None:
    """The rule: no registry others can do without takes the last of several slots."""
    known = {*waiting, *running}
    for registry in set(lane):
        if slots > 1 and any(registry not in other for other in known):
            assert sum(registry in other for other in running) < slots - 1


@given(lanes, st.integers(1, 6), st.randoms(use_true_random=False))
def test_turn_in_any_run_starts_everything_and_keeps_its_rules(waiting, slots, chance) -> None:
    expected = sorted(waiting)
    started: list[Lane] = []
    running: list[Lane] = []
    while waiting or running:
        position = turn(waiting, running, slots)
        if position is None:
            assert running, "somebody waits and nobody runs"
            running.pop(chance.randrange(len(running)))
            continue
        may_start(waiting[position], waiting, running, slots)
        started.append(waiting.pop(position))
        running.append(started[-1])
        assert len(running) <= slots
    assert sorted(started) == expected


@given(st.integers(2, 8), st.integers(1, 40), st.integers(1, 40))
def test_turn_beside_a_registry_that_hangs_all_others_end(slots, slow, quick) -> None:
    waiting, running = [SLOW] * slow + [QUICK] * quick, list[Lane]()
    while (position := turn(waiting, running, slots)) is not None:
        lane = waiting.pop(position)
        if lane == SLOW:
            running.append(lane)

    assert QUICK not in waiting
