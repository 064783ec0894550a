"""Repeating what failed in a way that may pass: one policy for network and tool attempts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import tenacity

from image_tools.errors import CopyFailed, DigestMismatch, ImageToolsError, UnknownFailure

LONGEST_WISH = 900.0
_JITTER = 0.25
T = TypeVar("T")
OnRetry = Callable[[ImageToolsError, float], None]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`times` repeats; `delay` seconds before the first, doubling up to `maximum`."""

    times: int = 3
    delay: float = 1.0
    maximum: float = 60.0


async def repeat_async(
    policy: RetryPolicy,
    action: Callable[[], Awaitable[T]],
    *,
    on_retry: OnRetry | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """The result of `action`, repeated as the policy says; its last error is raised as it is.

    Only a temporary failure that nobody has repeated yet is. `on_retry` hears of it and of the
    seconds until the next attempt. A temporary error that was given up is `exhausted`.
    """
    chances = _Chances()
    failed: list[ImageToolsError] = []

    async def attempt() -> T:
        # tenacity awaits only what it can see to be a coroutine function: no lambda is.
        if failed:
            raise failed.pop()
        return await action()

    # tenacity costs as much as a request: it is called in when the first try has failed.
    try:
        return await action()
    except ImageToolsError as error:
        if not error.temporary or error.exhausted:
            raise
        failed.append(error)
    retrying = tenacity.AsyncRetrying(
        retry=lambda state: chances.left_for(_error(state)),
        stop=tenacity.stop_after_attempt(policy.times + 1),
        wait=lambda state: _pause(policy, state),
        before_sleep=lambda state: _announce(state, on_retry),
        retry_error_callback=_give_up,
        sleep=sleep,
    )
    return await retrying(attempt)


class _Chances:
    """Which failures of one action are worth another attempt."""

    def __init__(self) -> None:
        self._odd = 0

    def left_for(self, error: BaseException | None) -> bool:
        """Whether to repeat after `error`; where not, it says so to whoever repeats above."""
        if not isinstance(error, ImageToolsError) or not error.temporary or error.exhausted:
            return False
        # Wrong bytes and what nobody understands seldom pass: once more is enough.
        self._odd += isinstance(error, (DigestMismatch, UnknownFailure))
        error.exhausted = self._odd > 1
        return not error.exhausted


def _pause(policy: RetryPolicy, state: tenacity.RetryCallState) -> float:
    own = min(policy.maximum, policy.delay * 2.0 ** min(state.attempt_number - 1, 16))
    own *= 1 + _JITTER * random.random()
    error = _error(state)
    wish = error.retry_after if isinstance(error, CopyFailed) else None
    return max(own, min(wish or 0.0, LONGEST_WISH))


def _announce(state: tenacity.RetryCallState, on_retry: OnRetry | None) -> None:
    error = _error(state)
    if on_retry is not None and isinstance(error, ImageToolsError):
        on_retry(error, state.upcoming_sleep)


def _give_up(state: tenacity.RetryCallState) -> NoReturn:
    error = _error(state)
    assert error is not None
    if isinstance(error, ImageToolsError):
        error.exhausted = True
    raise error


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None
