"""Random histories: after each step the planner, the validator and a naive model agree."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from loguru import logger

from image_tools.errors import Different
from image_tools.oci.digest import Digest
from image_tools.plan.plan import Action
from image_tools.report import Outcome, Status
from image_tools.run.deep_walk import Depth
from image_tools.validation.demand import Demand
from tests.helpers.histories import Part, World
from tests.helpers.naive_model import expected

# Histories are seldom alike: twice what other properties get.
MANY = 2 * settings().max_examples
OFTEN = ("linux/amd64", "linux/arm64", "linux/s390x")
PLACES = (
    *(*OFTEN, *OFTEN, *OFTEN),
    *("linux/arm64/v8", "linux/arm/v6", "linux/arm/v7", "linux/arm"),
    *("windows/amd64:10.0.1", "windows/amd64:10.0.2", "linux/", "unknown/unknown"),
)
AMD64 = Demand(architectures=frozenset({"amd64"}))
USUAL = (
    Demand(),
    AMD64,
    Demand(architectures=frozenset({"amd64", "arm64"})),
    Demand(systems=frozenset({"linux"})),
    Demand(architectures=frozenset({"amd64"}), overwrite=True),
)


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    """What hundreds of histories log is of no use."""
    logger.disable("image_tools")
    yield
    logger.enable("image_tools")


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give one event loop: to make one for each question takes a tenth of the time."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def some(*words: str) -> st.SearchStrategy[frozenset[str] | None]:
    return st.none() | st.sets(st.sampled_from(words), min_size=1).map(frozenset)


ASKED = st.sampled_from(USUAL) | st.builds(
    Demand,
    architectures=some("amd64", "arm64", "arm", "riscv64"),
    systems=st.none() | st.just(frozenset({"linux"})) | st.just(frozenset({"windows"})),
    variants=st.none() | st.none() | st.none() | st.just(frozenset({"v7"})),
    attestations=st.sampled_from((True, True, False)),
    overwrite=st.sampled_from((False, False, True)),
    keep_single=st.booleans(),
)
PARTS = st.builds(
    Part,
    where=st.sampled_from(PLACES),
    release=st.integers(1, 2),
    says=st.sampled_from(("all", "all", "all", "system", "nothing")),
    attested=st.booleans(),
    orphan=st.sampled_from((False, False, False, True)),
    nested=st.sampled_from((False, False, True)),
)
PLAIN = st.builds(
    Part,
    where=st.sampled_from(("linux/", "unknown/unknown")),
    release=st.integers(1, 2),
    attested=st.booleans(),
    nested=st.booleans(),
)


@dataclass(frozen=True)
class Step:
    """One event: `asked` where it is a run, which may look behind the tag."""

    name: str
    do: Callable[[World], object]
    asked: Demand | None = None
    behind: bool = False

    def __repr__(self) -> str:
        return self.name


def published(parts: list[Part], single: bool) -> Step:
    return Step(f"publish({parts}, {single=})", lambda w: w.publish(parts, single=single))


def ran(asked: Demand, behind: bool) -> Step:
    def do(world: World) -> object:
        return world.run(asked, behind=behind)

    return Step(f"run({asked}, {behind=})", do, asked, behind)


EDITS = st.one_of(
    st.sampled_from(
        (
            Step("drop_tag", World.drop_tag),
            Step("turn", World.turn),
            Step("fill", World.fill),
        )
    ),
    PARTS.map(lambda part: Step(f"add({part})", lambda w: w.add(part))),
    PARTS.map(lambda part: Step(f"add({part})", lambda w: w.add(part))),
    PARTS.map(lambda part: Step(f"push_single({part})", lambda w: w.push_single(part))),
    st.integers(0, 9).map(lambda n: Step(f"take_out({n})", lambda w: w.take_out(n))),
    st.builds(
        lambda n, blob: Step(f"lose({n}, {blob=})", lambda w: w.lose(n, blob=blob)),
        st.integers(0, 9),
        st.booleans(),
    ),
)
MANY_PARTS = st.lists(PARTS, min_size=1, max_size=4)
PUBLISH = st.builds(
    published,
    MANY_PARTS | MANY_PARTS | MANY_PARTS | st.lists(PLAIN, min_size=1, max_size=3),
    st.sampled_from((False, False, True)),
)
RUNS = st.builds(ran, ASKED, st.booleans())
HISTORIES = st.lists(st.one_of(PUBLISH, RUNS, RUNS, EDITS, EDITS), min_size=3, max_size=9)


def passes(said: object) -> bool | None:
    """Return whether an image passes; None where it is skipped."""
    if isinstance(said, Outcome):
        return None if said.status is Status.SKIPPED else said.status is Status.PASSED
    assert isinstance(said, Different)
    return False


def agree(world: World, asked: Demand) -> None:
    """Assert that validator and model say the same of the destination at each depth."""
    deep = passes(said := world.validated(asked, Depth.CONTENT))
    assert deep == world.is_right(asked, deep=True), said
    assert passes(world.validated(asked, Depth.TREE)) == deep
    same = world.top(world.source) == world.top(world.there)
    # Two heads are enough for equal indexes; of what is lost behind an index, a look at it
    # cannot tell the platform.
    if not same and not world.broken():
        assert passes(world.validated(asked, Depth.DIGEST)) == world.is_right(asked, deep=False)


def planned(world: World, asked: Demand, action: Action, seen_broken: frozenset[Digest]) -> None:
    """Assert that a run left what the model expects, and that the validator passes it.

    `seen_broken` is what the run has seen to be lost behind the tag.
    """
    source = world.found(world.source)
    wanted, _, is_whole = expected(source, [], asked)
    assert (action is Action.SKIP) == (not wanted)
    if action is Action.SKIP:
        return
    assert {one.leaf for one in world.found(world.there)} == world.promised, "the planner is wrong"
    if is_whole and world.promised == wanted and world.is_index(world.source):
        assert world.top(world.there) == world.top(world.source)
    if not world.broken():
        said = world.validated(asked, Depth.CONTENT)
        assert passes(said), said
        known = {one.leaf[0] for one in source}
        stale = {str(d) for d, _, about in world.promised - wanted if d not in known and not about}
        assert {one.digest for one in said.kept} == stale
        assert len(said.warnings) == len(said.kept)
    assert not world.broken() & seen_broken


@settings(max_examples=MANY)
@given(steps=HISTORIES, first=PUBLISH, other=ASKED)
def test_histories_planner_validator_and_model_agree(
    loop: asyncio.AbstractEventLoop, steps: list[Step], first: Step, other: Demand
) -> None:
    world, asked = World(loop.run_until_complete), other
    for step in [first, *steps]:
        note(f"step: {step}")
        asked = step.asked or asked
        seen_broken = world.broken() if step.behind else frozenset()
        if step.asked is not None:
            world.promise(asked, behind=step.behind)
        done = step.do(world)
        if isinstance(done, Action):
            planned(world, asked, done, seen_broken)
        agree(world, asked)
        agree(world, other)


@settings(max_examples=MANY)
@given(steps=HISTORIES, first=PUBLISH, asked=ASKED)
def test_histories_what_a_validation_fails_a_run_that_looks_behind_repairs(
    loop: asyncio.AbstractEventLoop, steps: list[Step], first: Step, asked: Demand
) -> None:
    world = World(loop.run_until_complete)
    for step in [first, *steps]:
        note(f"step: {step}")
        step.do(world)
    said = world.validated(asked, Depth.CONTENT)
    note(f"at content: {said}")
    if passes(said) is False:
        assert isinstance(said, Different)
        world.run(asked, behind=said.behind)
        again = world.validated(asked, Depth.CONTENT)
        assert passes(again), again


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("where", ["linux/", "unknown/unknown"])
def test_history_thing_without_platforms_takes_the_place_of_the_one_before(
    loop: asyncio.AbstractEventLoop, where: str, single: bool
) -> None:
    """Nothing is filtered of it, so nothing of the destination is a platform not chosen."""
    world = World(loop.run_until_complete)
    for release in (1, 2):
        world.publish([Part(where, release)], single=single)
        world.add(Part("linux/s390x"))
        assert world.run(AMD64) is Action.COPY
        assert world.top(world.there) == world.top(world.source)
        agree(world, AMD64)


SMALL = tuple(Part(where, release) for where in OFTEN for release in (1, 2))
HELD = [parts for count in range(4) for parts in combinations(SMALL, count)]
# All of them by scripts/soak, a share elsewhere.
EACH = max(1, 100 // settings().max_examples)


@pytest.mark.parametrize("asked", USUAL, ids=("all", "one", "two", "system", "overwrite"))
def test_history_every_small_tag_is_judged_and_mirrored_as_the_model_says(
    loop: asyncio.AbstractEventLoop, asked: Demand
) -> None:
    """What random histories meet only now and then: left-over, kept and replaced platforms."""
    now = SMALL[::2]
    for at, offered in enumerate((now[:1], now[:2], now, now[1:], (now[0], now[2]))):
        for listed in HELD[at % EACH :: EACH]:
            world = World(loop.run_until_complete)
            world.publish(offered)
            for part in listed:
                world.add(part)
            said = world.validated(asked, Depth.TREE)
            assert passes(said) == world.is_right(asked, deep=True), (offered, listed, said)
            world.promise(asked, behind=False)
            planned(world, asked, world.run(asked), frozenset())
