"""Ctrl-C and its siblings: who hears of the first, who of the second, and what is put back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from image_tools.machine import signals
from image_tools.machine.signals import die_now, listening

ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Whatever a test does, the signals of the test run itself are as before."""
    before = {number: signal.getsignal(number) for number in ALL}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("raised", "first", "second"),
    [
        ([], [], []),
        (["SIGINT"], ["SIGINT"], []),
        (["SIGTERM"], ["SIGTERM"], []),
        (["SIGHUP"], ["SIGTERM"], []),
        (["SIGINT", "SIGINT"], ["SIGINT"], ["SIGINT"]),
        (["SIGINT", "SIGTERM", "SIGHUP"], ["SIGINT"], ["SIGTERM", "SIGTERM"]),
    ],
)
def test_signals_the_first_is_told_apart_from_all_later_ones(
    raised: list[str], first: list[str], second: list[str]
) -> None:
    heard: tuple[list[int], list[int]] = ([], [])
    before = [signal.getsignal(number) for number in ALL]

    with listening(heard[0].append, heard[1].append):
        for name in raised:
            signal.raise_signal(signal.Signals[name])

    assert heard == tuple([signal.Signals[name] for name in names] for names in (first, second))
    assert [signal.getsignal(number) for number in ALL] == before


@pytest.mark.parametrize("number", ALL)
def test_signal_that_was_ignored_stays_ignored(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)
    heard: list[int] = []

    with listening(heard.append, heard.append):
        signal.raise_signal(number)

    assert (heard, signal.getsignal(number)) == ([], signal.SIG_IGN)


def test_handlers_are_put_back_when_the_work_fails() -> None:
    before = signal.getsignal(signal.SIGINT)

    with pytest.raises(KeyError), listening(print, print):
        raise KeyError

    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_install_nothing() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with listening(print, print):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert seen == [before]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kind", ["folder", "missing", None])
def test_die_now_kills_children_then_tidies_then_leaves(
    kind: str | None, number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    die = die_now(None if kind is None else tmp_path / kind)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "auth.json").touch()

    def kill_all(**named: bool) -> None:
        done.append((named, folder.exists()))

    monkeypatch.setattr(signals, "kill_all", kill_all)
    monkeypatch.setattr(os, "_exit", done.append)

    # It never returns, but for the fake above.
    cast("Callable[[int], None]", die)(number)

    assert done == [({"for_good": True}, True), 128 + number]
    assert folder.exists() == (kind != "folder")
