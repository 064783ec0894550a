"""Ctrl-C and SIGTERM: the first ends the run in order, the second at once."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from image_tools.errors import Interrupted
from image_tools.machine.run import kill_all

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def listening(on_first: Callable[[int], None], on_second: Callable[[int], None]) -> Iterator[None]:
    """Call `on_first` with the number of the first signal inside, `on_second` with later ones.

    SIGHUP counts as SIGTERM, unless it is ignored (nohup). Outside the main thread, where Python
    allows no handlers, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []

    def hear(number: int, _frame: FrameType | None) -> None:
        number = signal.SIGTERM if number == signal.SIGHUP else number
        seen.append(number)
        (on_first if len(seen) == 1 else on_second)(number)

    heard = [n for n in _SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, hear) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def die_now(workspace: Path | None) -> Callable[[int], NoReturn]:
    """Return a function that ends the process at once, its children and private folder with it."""

    def die(number: int) -> NoReturn:
        kill_all(for_good=True)
        if workspace is not None:
            shutil.rmtree(workspace, ignore_errors=True)
        os._exit(128 + number)

    return die


@contextmanager
def signals_raised() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP raise Interrupted, so that everything is cleaned up.

    A hang-up counts as SIGTERM. Ignored signals stay ignored (nohup); SIGINT raises
    KeyboardInterrupt by itself.
    """
    actions = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    taken = [number for number, action in actions.items() if action is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _raise)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _raise(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted(signal.SIGTERM)
