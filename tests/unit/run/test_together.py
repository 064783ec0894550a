from __future__ import annotations

import asyncio

import pytest

from image_tools.errors import NotFound
from image_tools.run.together import together


async def _give(value: int) -> int:
    await asyncio.sleep(0)
    return value


def test_together_all_end_well_results_keep_their_order() -> None:
    async def main() -> list[int]:
        return await together(_give(number) for number in range(5))

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_together_nothing_to_do_is_an_empty_list() -> None:
    async def main() -> list[int]:
        return await together([])

    assert asyncio.run(main()) == []


def test_together_one_fails_the_others_have_ended_when_it_raises() -> None:
    ended: list[str] = []

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waiter")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise NotFound("gone")

    async def main() -> None:
        with pytest.raises(NotFound, match="gone"):
            await together([wait_for_ever(), fail(), wait_for_ever()])

    asyncio.run(main())
    assert ended == ["waiter", "waiter"]


def test_together_cancelled_from_outside_ends_all() -> None:
    ended: list[int] = []

    async def wait_for_ever(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    async def main() -> None:
        task = asyncio.ensure_future(together(wait_for_ever(number) for number in range(3)))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert sorted(ended) == [0, 1, 2]
