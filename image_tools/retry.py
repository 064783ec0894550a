"""Repeating what failed in a way that may pass: one policy for requests and runs of tools."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import tenacity
from loguru import logger

from image_tools.errors import CopyFailed, DigestMismatch, ImageToolsError, UnknownFailure

LONGEST_WISH = 900.0
T = TypeVar("T")
OnRetry = Callable[[ImageToolsError, float], None]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`times` repeats; `delay` seconds before the first, doubling up to `maximum`.

    Each wait is longer by a random part of it, up to `jitter`.
    """

    times: int = 3
    delay: float = 1.0
    maximum: float = 60.0
    jitter: float = 0.25


async def repeat_async(
    policy: RetryPolicy,
    action: Callable[[], Awaitable[T]],
    *,
    on_retry: OnRetry | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Return the result of `action`, repeated as the policy says; raise its last error as it is.

    Repeated is a temporary failure that is not `exhausted`: a temporary error that leaves here is,
    so that no caller repeats it. `on_retry` is told the failure and the seconds until the next
    attempt, which are at least what the registry asks for (Retry-After), up to LONGEST_WISH.
    """
    try:
        # tenacity costs as much as a request: it is called in when the first attempt has failed.
        return await action()
    except ImageToolsError as error:
        if not _may_pass(error):
            raise
        failed = [error]

    async def attempt() -> T:
        if failed:
            raise failed.pop()
        return await action()

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(_Chances().left_for),
        stop=tenacity.stop_after_attempt(policy.times + 1),
        wait=partial(_wait, policy),
        before_sleep=partial(_announce, on_retry),
        sleep=sleep,
        reraise=True,
    )
    try:
        return await retrying(attempt)
    except ImageToolsError as error:
        error.exhausted = error.exhausted or error.temporary
        raise


def announce_retry(error: ImageToolsError, seconds: float) -> None:
    """Log that a request failed and is repeated."""
    logger.info("{}; trying again in {} s", error, round(seconds, 1))


class _Chances:
    """Which failures of one action are worth another attempt."""

    def __init__(self) -> None:
        self._odd = 0

    def left_for(self, error: BaseException) -> bool:
        """Return whether to repeat after `error`, the next one of the action."""
        # Wrong bytes and unknown failures seldom pass: one more attempt is enough.
        self._odd += isinstance(error, (DigestMismatch, UnknownFailure))
        return _may_pass(error) and self._odd < 2


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, ImageToolsError) and error.temporary and not error.exhausted


def _wait(policy: RetryPolicy, state: tenacity.RetryCallState) -> float:
    own = tenacity.wait_exponential(multiplier=policy.delay, max=policy.maximum)(state)
    own *= random.uniform(1, 1 + policy.jitter)
    error = _failure(state)
    wish = error.retry_after if isinstance(error, CopyFailed) else None
    return max(own, min(wish or 0.0, LONGEST_WISH))


def _announce(on_retry: OnRetry | None, state: tenacity.RetryCallState) -> None:
    error = _failure(state)
    if on_retry is not None and isinstance(error, ImageToolsError):
        on_retry(error, state.upcoming_sleep)


def _failure(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None
