"""A token that says stop, once, to everybody who listens."""

from __future__ import annotations

import math
import threading
import time
from functools import partial

import pytest

from image_tools.machine.cancel import Cancel, bounded


def test_new_token_is_not_set_and_has_no_deadline() -> None:
    cancel = Cancel()

    assert (cancel.is_set(), cancel.reason, cancel.remaining()) == (False, None, None)


@pytest.mark.parametrize(
    ("reasons", "reason"),
    [(["SIGINT"], "SIGINT"), (["first", "second"], "first"), ([""], "cancelled")],
)
def test_token_set_keeps_its_first_reason(reasons: list[str], reason: str) -> None:
    cancel = Cancel()
    for text in reasons:
        cancel.set(text)

    assert (cancel.is_set(), cancel.reason) == (True, reason)


def test_callbacks_run_once_each_in_their_order() -> None:
    cancel = Cancel()
    heard: list[str] = []
    for name in "abc":
        cancel.add_callback(partial(heard.append, name))

    cancel.set()
    cancel.set()

    assert heard == ["a", "b", "c"]


def test_callback_added_to_a_set_token_runs_at_once() -> None:
    cancel, heard = Cancel(), []
    cancel.set()

    cancel.add_callback(lambda: heard.append("late"))

    assert heard == ["late"]


def test_callback_removed_is_not_called_and_unknown_ones_are_harmless() -> None:
    parent = Cancel()
    child = Cancel(parent)
    heard: list[str] = []
    callback = heard.clear
    child.add_callback(callback)

    child.remove_callback(callback)
    child.remove_callback(callback)
    heard.append("kept")
    parent.set()
    child.set()

    assert heard == ["kept"]


@pytest.mark.parametrize("order", ["parent child", "child parent", "parent", "child"])
@pytest.mark.parametrize("early", [True, False])
def test_callback_of_a_child_runs_once_whichever_token_is_set(order: str, early: bool) -> None:
    parent = Cancel()
    tokens, heard = {"parent": parent, "child": Cancel(parent)}, []
    if early:
        tokens["child"].add_callback(lambda: heard.append(1))

    for name in order.split():
        tokens[name].set(name)
    if not early:
        tokens["child"].add_callback(lambda: heard.append(1))

    assert heard == [1]
    assert tokens["child"].is_set()
    assert tokens["parent"].is_set() == ("parent" in order)
    assert not any(token._callbacks for token in tokens.values())


def test_reason_of_the_parent_is_the_reason_of_the_child() -> None:
    parent = Cancel()
    child = Cancel(parent)

    parent.set("SIGTERM")

    assert (child.is_set(), child.reason) == (True, "SIGTERM")


def test_callback_that_adds_another_one_runs_both() -> None:
    cancel, heard = Cancel(), []
    cancel.add_callback(lambda: cancel.add_callback(lambda: heard.append("inner")))

    cancel.set()

    assert heard == ["inner"]


@pytest.mark.parametrize(
    ("own", "above", "left"),
    [
        (None, None, None),
        (10.0, None, 10.0),
        (None, 10.0, 10.0),
        (10.0, 20.0, 10.0),
        (20.0, 10.0, 10.0),
        (-5.0, None, 0.0),
        (10.0, -5.0, 0.0),
    ],
)
def test_remaining_is_the_nearest_deadline_and_sets_nothing(
    own: float | None, above: float | None, left: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)

    def at(seconds: float | None) -> float | None:
        return None if seconds is None else 1000.0 + seconds

    child = Cancel(Cancel(deadline=at(above)), deadline=at(own))

    assert child.remaining() == left
    assert not child.is_set()


def test_wait_without_a_set_ends_with_the_time_and_leaves_no_callback() -> None:
    parent = Cancel()
    child = Cancel(parent)

    assert child.wait(0.0) is False
    assert child.wait(-1.0) is False
    assert (parent._callbacks, child._callbacks) == ({}, {})


@pytest.mark.parametrize("seconds", [None, math.inf, 1e12, 60.0])
def test_wait_is_woken_by_the_parent_from_another_thread(seconds: float | None) -> None:
    parent = Cancel()
    thread = threading.Timer(0.01, parent.set)
    thread.start()

    assert Cancel(parent).wait(seconds) is True
    thread.join()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, None),
        (math.inf, None),
        (-1.0, 0.0),
        (0.5, 0.5),
        (1e30, threading.TIMEOUT_MAX),
    ],
)
def test_bounded_is_what_python_can_wait(seconds: float | None, expected: float | None) -> None:
    assert bounded(seconds) == expected
