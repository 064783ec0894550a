from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from image_tools.errors import Deferred, RateLimited
from image_tools.plan.cost import PullNeed
from image_tools.run.progress import Progress
from image_tools.run.quota import Quota, Wanted
from image_tools.stores.remote.limits.meter import Meter, Meters, cover
from tests.helpers.quick_loop import run

HUB = "docker.io"


class Registry:
    """A registry that counts: `left` pulls of 10; its answers reach the meter."""

    def __init__(self, left: int | None, *, budget: int | None = None, waits: bool = False) -> None:
        self.left = left
        self.meters, self.progress = Meters(budget), Progress()
        self.quota = Quota(self.meters, self.progress, waits=waits)
        self.done: list[int] = []
        self.asked = 0
        if left is not None:
            self.answer(self.meter.begin("x", is_pull=False))

    @property
    def meter(self) -> Meter:
        return self.meters.of(HUB)

    def answer(self, sent: Any) -> None:
        told = {"RateLimit-Limit": "10;w=600", "RateLimit-Remaining": f"{self.left};w=600"}
        self.meter.end(sent, None if self.left is None else told)

    async def ask(self) -> None:
        self.asked += 1
        self.answer(self.meter.begin("x", is_pull=False))

    async def pull(self) -> None:
        sent = self.meter.begin("x", is_pull=True)
        await asyncio.sleep(0)
        if self.left is not None:
            self.left -= 1
            assert self.left >= 0, "a 429"
        self.answer(sent)

    async def image(self, number: int, need: PullNeed, true: int | None = None) -> str:
        """One image of a line: looked at, begun, its index read, then the rest."""
        with self.quota.probing(HUB):
            await asyncio.sleep(0)
        wanted = Wanted(registry=HUB, listed=HUB, number=number, need=need, ask=self.ask)
        left = need.cost if true is None else true
        while True:
            try:
                async with self.quota.share(wanted):
                    try:
                        if left == (true or need.cost):
                            await self.pull()
                            left -= 1
                        cover(left)
                        for _ in range(left):
                            await self.pull()
                        self.done.append(number)
                        return "done"
                    except Deferred as error:
                        wanted = wanted.after(error)
            except Deferred:
                return "deferred"


def _all(*works: Coroutine[Any, Any, str]) -> list[str]:
    async def main() -> list[str]:
        return await asyncio.gather(*works)

    return run(main())


def test_quota_no_limit_begins_everything_at_once() -> None:
    registry = Registry(None)
    assert _all(*(registry.image(n, PullNeed(5, 3)) for n in range(30))) == ["done"] * 30


def test_quota_enough_for_all_begins_everything() -> None:
    registry = Registry(10)
    assert _all(*(registry.image(n, PullNeed(2, 2)) for n in range(5))) == ["done"] * 5
    assert registry.left == 0


def test_quota_not_enough_cheap_ones_are_done_and_no_pull_is_wasted() -> None:
    registry = Registry(6)
    costs = [5, 2, 4, 1, 3]
    found = _all(*(registry.image(n, PullNeed(cost, cost)) for n, cost in enumerate(costs)))
    assert found == ["deferred", "done", "deferred", "done", "done"]
    assert (registry.left, registry.done) == (0, [3, 1, 4])


def test_quota_foreseen_too_high_the_true_cost_decides() -> None:
    registry = Registry(6)
    found = _all(*(registry.image(n, PullNeed(5, 3), true=3) for n in range(3)))
    assert (found.count("done"), registry.left) == (2, 0)


def test_quota_foreseen_too_low_is_put_off_behind_its_index() -> None:
    registry = Registry(4)
    assert _all(registry.image(1, PullNeed(2, 2), true=6)) == ["deferred"]
    assert registry.left == 3


def test_quota_foreseen_too_low_few_begin_at_once_and_little_is_wasted() -> None:
    registry = Registry(10)
    found = _all(*(registry.image(n, PullNeed(2, 2), true=3) for n in range(10)))
    assert (found.count("done"), registry.left) == (3, 1)


def test_quota_own_budget_holds_without_a_word_of_the_registry() -> None:
    registry = Registry(None, budget=4)
    found = _all(*(registry.image(n, PullNeed(2, 2)) for n in range(3)))
    assert (found.count("done"), registry.meter.window.spent) == (2, 4)


def test_quota_own_budget_is_not_waited_for() -> None:
    registry = Registry(10, budget=1, waits=True)
    assert _all(registry.image(1, PullNeed(2, 2))) == ["deferred"]


def test_quota_image_without_registry_waits_for_nobody() -> None:
    async def main() -> bool:
        registry = Registry(0)
        none = Wanted(registry="", listed="", number=1, need=PullNeed(9, 9), ask=registry.ask)
        async with registry.quota.share(none):
            return True

    assert run(main())


def test_quota_waiting_looks_again_until_the_window_moves() -> None:
    registry = Registry(2, waits=True)

    async def later() -> str:
        while registry.asked < 3:
            shown = registry.progress.snapshot().active
            await asyncio.sleep(0.5)
        registry.left = 9
        return shown[0].partition(" by ")[0]

    found = _all(*(registry.image(n, PullNeed(3, 3)) for n in range(3)), later())
    assert found == ["done"] * 3 + ["waiting for pulls at docker.io"]
    assert registry.progress.snapshot().active == ()


def test_quota_waiting_for_more_than_the_limit_is_no_use() -> None:
    registry = Registry(0, waits=True)
    assert _all(registry.image(1, PullNeed(11, 11))) == ["deferred"]


def test_quota_waiting_ends_at_once_when_the_run_is_ended() -> None:
    async def main() -> tuple[list[bool], int]:
        registry = Registry(0, waits=True)
        tasks = [asyncio.ensure_future(registry.image(n, PullNeed(3, 3))) for n in range(3)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        return [task.cancelled() for task in tasks], len(others)

    assert run(main()) == ([True] * 3, 0)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RateLimited("slow down", retry_after=5.0), RateLimited),
        (RateLimited("slow down"), RateLimited),
        (RateLimited("come back tomorrow", retry_after=7200.0), Deferred),
        (Deferred("no pulls left", retry_after=7200.0), Deferred),
    ],
)
def test_quota_put_off_what_lasts_for_hours_is_deferred(error, expected) -> None:
    with pytest.raises(expected, match=str(error)):
        run(Registry(None).quota.put_off(error))
