from __future__ import annotations

import asyncio
import re

import pytest

from image_tools.errors import Deferred, RateLimited
from image_tools.stores.remote.limits.meter import Meter, Meters, cover, is_limited, split_share

HOURS = 21600


def _headers(left: int, limit: int = 100) -> dict[str, str]:
    return {"RateLimit-Limit": f"{limit};w={HOURS}", "RateLimit-Remaining": f"{left};w={HOURS}"}


def _meter(left: int | None, budget: int | None = None) -> Meter:
    meter = Meter("docker.io", budget, clock=lambda: 0.0)
    if left is not None:
        meter.end(meter.begin("x", is_pull=False), _headers(left))
    return meter


def _pull(meter: Meter) -> None:
    meter.end(meter.begin("docker.io/x", is_pull=True), None)


@pytest.mark.parametrize(
    ("left", "budget", "available"),
    [(None, None, None), (5, None, 5), (None, 3, 3), (5, 3, 3), (2, 3, 2)],
)
def test_meter_the_narrower_limit_counts(left, budget, available) -> None:
    assert _meter(left, budget).available == available


def test_meter_pull_too_much_is_deferred_before_it_is_sent() -> None:
    meter = _meter(1)
    _pull(meter)
    with pytest.raises(Deferred) as caught:
        _pull(meter)
    assert caught.value.message.startswith(
        "docker.io/x: needs 1 pull; docker.io has 0 of 100 left, its window of 6 h moves by "
    )
    assert (caught.value.retry_after, meter.window.spent) == (HOURS, 1)


def test_meter_own_budget_used_up_says_so_and_waits_for_nothing() -> None:
    error = _meter(50, budget=2).deferred(3, at_most=True)
    assert (str(error), error.retry_after, error.advice) == (
        "needs up to 3 pulls; 2 of --pull-budget 2 left at docker.io",
        None,
        "run again, or raise --pull-budget",
    )


def test_meter_what_is_set_aside_is_for_its_owner_alone() -> None:
    meter = _meter(2)
    share = meter.share(2)
    with pytest.raises(Deferred):
        _pull(meter)
    with share.used():
        _pull(meter)
    assert (share.left, meter.free, meter.available) == (1, 0, 1)
    share.close()
    _pull(meter)
    assert meter.available == 0


def test_meter_share_covers_what_is_left_and_nothing_more() -> None:
    meter = _meter(5)
    share = meter.share(2)
    with share.used():
        cover(5)
        assert (share.left, meter.free) == (5, 0)
        cover(1)
        assert (share.left, meter.free) == (1, 4)
        with pytest.raises(Deferred, match=re.escape("needs 6 pulls")):
            cover(6)


def test_meter_outside_a_share_nothing_is_covered() -> None:
    cover(1000)
    assert (is_limited(), split_share(1000)) == (False, None)


def test_meter_pulls_of_a_tool_are_kept_until_it_has_made_them() -> None:
    meter = _meter(5)
    with meter.share(4).used():
        held = split_share(3)
        assert held is not None
    assert (held.left, meter.reserved, meter.available) == (3, 4, 5)
    held.spend()
    assert (meter.reserved, meter.available, meter.window.spent) == (1, 2, 3)


def test_meter_share_holds_in_tasks_begun_inside() -> None:
    async def main() -> tuple[bool, bool]:
        async def limited() -> bool:
            return is_limited()

        with _meter(5).share(1).used():
            inside = asyncio.ensure_future(limited())
        return await inside, await asyncio.ensure_future(limited())

    assert asyncio.run(main()) == (True, False)


def test_meter_others_ate_what_was_set_aside_the_share_is_worth_nothing() -> None:
    meter = _meter(2)
    with meter.share(2).used():
        meter.end(meter.begin("x", is_pull=False), _headers(0))
        with pytest.raises(Deferred):
            _pull(meter)


def test_meter_refused_nothing_is_left_until_the_registry_says_otherwise() -> None:
    meter = _meter(5)
    meter.end(meter.begin("x", is_pull=True), _headers(3), 429)
    assert meter.available == 0
    error = meter.refusal("docker.io/x", RateLimited("too many", retry_after=7200.0))
    assert (error.retry_after, "(too many)" in str(error)) == (7200.0, True)
    meter.end(meter.begin("x", is_pull=False), _headers(4))
    assert meter.available == 4


@pytest.mark.parametrize(
    ("meter", "needed", "expected"),
    [
        (_meter(0), 100, True),
        (_meter(0), 101, False),
        (_meter(0, budget=5), 6, False),
        (_meter(None, budget=5), 5, False),
    ],
)
def test_meter_waiting_helps_within_the_limit_alone(meter, needed, expected) -> None:
    assert meter.can_ever(needed) is expected


def test_meters_each_registry_has_its_own() -> None:
    meters = Meters(budget=2)
    _pull(meters.of("b.example"))
    found = [(meter.registry, meter.available) for meter in (meters.of("a.example"),)]
    assert found == [("a.example", 2)]
    assert [(m.registry, m.available) for m in meters.limited] == [
        ("a.example", 2),
        ("b.example", 1),
    ]
