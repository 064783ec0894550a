"""What is repeated, how often, and how long the program waits before it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from image_tools.errors import (
    AccessDenied,
    CopyFailed,
    DigestMismatch,
    DiskFull,
    ImageToolsError,
    InvalidManifest,
    NotFound,
    RateLimited,
    TimedOut,
    TlsProblem,
    Unauthorized,
    Unavailable,
    UnknownFailure,
    UsageError,
)
from image_tools.retry import RetryPolicy, repeat_async

POLICY = RetryPolicy(times=3, delay=1.0, maximum=4.0, jitter=0.0)


class Attempts:
    """An action that fails with one error after the other and then gives back `result`."""

    def __init__(self, errors: Iterable[BaseException]) -> None:
        self.errors = list(errors)
        self.count = 0
        self.slept: list[float] = []
        self.heard: list[tuple[ImageToolsError, float]] = []

    async def act(self) -> str:
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return "result"

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def repeat(self, policy: RetryPolicy = POLICY) -> str:
        return asyncio.run(
            repeat_async(
                policy,
                lambda: self.act(),
                on_retry=lambda *heard: self.heard.append(heard),
                sleep=self.sleep,
            )
        )


def spent(*errors: ImageToolsError) -> list[ImageToolsError]:
    for error in errors:
        error.exhausted = True
    return list(errors)


@pytest.mark.parametrize(
    ("errors", "attempts", "exhausted"),
    [
        ([Unavailable("x") for _ in range(9)], 4, True),
        ([RateLimited("x") for _ in range(9)], 4, True),
        ([TimedOut("x") for _ in range(9)], 4, True),
        ([UnknownFailure("x") for _ in range(9)], 2, True),
        ([DigestMismatch("x") for _ in range(9)], 2, True),
        ([Unavailable("x"), *(UnknownFailure("x") for _ in range(9))], 3, True),
        ([DigestMismatch("x"), UnknownFailure("x"), DigestMismatch("x")], 2, True),
        ([Unavailable("x"), NotFound("x")], 2, False),
        (spent(Unavailable("x"), Unavailable("x")), 1, True),
        ([NotFound("x")], 1, False),
        ([AccessDenied("x")], 1, False),
        ([Unauthorized("x")], 1, False),
        ([TlsProblem("x")], 1, False),
        ([DiskFull("x")], 1, False),
        ([CopyFailed("x")], 1, False),
        ([InvalidManifest("x")], 1, False),
        ([UsageError("x")], 1, False),
    ],
    ids=lambda value: (
        "-".join(e.kind for e in value[:2]) if isinstance(value, list) else str(value)
    ),
)
def test_failure_that_stays_is_repeated_as_its_kind_says(
    errors: list[ImageToolsError], attempts: int, exhausted: bool
) -> None:
    tried = Attempts(errors)
    last = errors[attempts - 1]

    with pytest.raises(ImageToolsError) as raised:
        tried.repeat()

    assert raised.value is last
    assert (tried.count, last.exhausted) == (attempts, exhausted)


@pytest.mark.parametrize(
    "errors",
    [
        [],
        [Unavailable("x")],
        [Unavailable("x"), RateLimited("x"), TimedOut("x")],
        [UnknownFailure("x")],
        [Unavailable("x"), DigestMismatch("x"), Unavailable("x")],
    ],
)
def test_failure_that_passes_gives_the_result_and_is_announced(
    errors: list[ImageToolsError],
) -> None:
    tried = Attempts(errors)

    assert tried.repeat() == "result"
    assert tried.heard == list(zip(errors, tried.slept, strict=True))
    assert not any(error.exhausted for error in errors)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), KeyError("bug")])
def test_what_is_no_failure_of_ours_passes_at_once(error: BaseException) -> None:
    tried = Attempts([error])

    async def caught() -> BaseException | None:
        try:
            await repeat_async(POLICY, tried.act, sleep=tried.sleep)
        except BaseException as found:
            return found
        return None

    assert asyncio.run(caught()) is error
    assert (tried.count, tried.slept) == (1, [])


@pytest.mark.parametrize(
    ("policy", "wish", "waits"),
    [
        (RetryPolicy(4, 1.0, 60.0, 0.0), None, [1.0, 2.0, 4.0, 8.0]),
        (RetryPolicy(4, 1.0, 4.0, 0.0), None, [1.0, 2.0, 4.0, 4.0]),
        (RetryPolicy(2, 0.0, 60.0, 0.0), None, [0.0, 0.0]),
        (RetryPolicy(3, 1.0, 60.0, 0.0), 3.0, [3.0, 3.0, 4.0]),
        (RetryPolicy(1, 1.0, 4.0, 0.0), 600.0, [600.0]),
        (RetryPolicy(1, 1.0, 4.0, 0.0), 900.0, [900.0]),
        (RetryPolicy(1, 1.0, 4.0, 0.0), 86400.0, [900.0]),
        (RetryPolicy(1, 1.0, 4.0, 0.0), -5.0, [1.0]),
        (RetryPolicy(0), None, []),
    ],
)
def test_waits_double_up_to_their_maximum_and_honour_retry_after(
    policy: RetryPolicy, wish: float | None, waits: list[float]
) -> None:
    tried = Attempts(RateLimited("x", retry_after=wish) for _ in range(9))

    with pytest.raises(RateLimited):
        tried.repeat(policy)

    assert tried.slept == waits


def test_wait_has_jitter_of_at_most_a_quarter() -> None:
    tried = Attempts(Unavailable("x") for _ in range(50))

    assert tried.repeat(RetryPolicy(times=50, delay=4.0, maximum=4.0)) == "result"
    assert 4.0 <= min(tried.slept) < max(tried.slept) <= 5.0


def test_long_series_of_repeats_waits_the_maximum_without_overflow() -> None:
    tried = Attempts(Unavailable("x") for _ in range(1100))

    assert tried.repeat(RetryPolicy(times=1100, delay=1.0, maximum=4.0, jitter=0.0)) == "result"
    assert set(tried.slept[2:]) == {4.0}


def test_cancelled_during_the_wait_ends_at_once() -> None:
    tried = Attempts([Unavailable("x"), Unavailable("x")])

    async def cancelled() -> bool:
        work = asyncio.ensure_future(repeat_async(RetryPolicy(3, 3600.0, 3600.0, 0.0), tried.act))
        while tried.count == 0:
            await asyncio.sleep(0)
        work.cancel()
        await asyncio.wait([work])
        return work.cancelled()

    assert asyncio.run(cancelled())
    assert tried.count == 1


def test_two_layers_of_repeating_do_not_multiply() -> None:
    tried = Attempts(DigestMismatch("x") for _ in range(9))

    with pytest.raises(DigestMismatch):
        asyncio.run(
            repeat_async(
                POLICY,
                lambda: repeat_async(POLICY, tried.act, sleep=tried.sleep),
                sleep=tried.sleep,
            )
        )

    assert tried.count == 2
