"""Work that is given its time: what comes of it, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import math

import pytest

from image_tools.web.time_limit import in_time


async def _never(ended: list[str]) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0)
        ended.append("ended")


async def _quick() -> str:
    return "done"


@pytest.mark.parametrize("seconds", [1.0, math.inf])
def test_in_time_gives_the_result(seconds: float) -> None:
    assert asyncio.run(in_time(seconds, _quick())) == "done"


def test_in_time_too_slow_is_ended_before_it_is_said() -> None:
    ended: list[str] = []

    async def story() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await in_time(0.001, _never(ended))
        ended.append("said")

    asyncio.run(story())

    assert ended == ["ended", "said"]


def test_in_time_cancelled_is_ended_and_cancelled() -> None:
    ended: list[str] = []

    async def story() -> None:
        waiting = asyncio.ensure_future(in_time(60, _never(ended)))
        await asyncio.sleep(0.001)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(story())

    assert ended == ["ended"]
