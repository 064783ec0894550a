"""What a signal does while no run is there to be stopped: leave by the way of exceptions."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from image_tools.errors import Interrupted

_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def endings_raised() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP raise Interrupted, so that everything is cleaned up.

    A hang-up counts as SIGTERM. Ignored signals stay ignored (nohup); SIGINT raises
    KeyboardInterrupt by itself.
    """
    before = {number: signal.getsignal(number) for number in _ENDINGS}
    taken = [number for number, action in before.items() if action is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _raise)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def _raise(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted(signal.SIGTERM)
