from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.stores.remote.limits.pull_window import PullLimit, PullWindow, pull_limit

HOURS = 21600
LIMIT = "RateLimit-Limit"
LEFT = "RateLimit-Remaining"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(
            {LIMIT: "100;w=21600", LEFT: "76;w=21600", "Docker-RateLimit-Source": "192.0.2.1"},
            PullLimit(limit=100, remaining=76, window=HOURS, source="192.0.2.1"),
            id="docker-hub",
        ),
        pytest.param(
            {LIMIT: "100;w=21600", LEFT: "0"},
            PullLimit(limit=100, remaining=0, window=HOURS),
            id="window-of-the-limit",
        ),
        pytest.param(
            {LEFT: "9;w=3600"},
            PullLimit(limit=None, remaining=9, window=3600),
            id="rest-alone",
        ),
        pytest.param(
            {LIMIT: ' 10 ; comment="x" ; W = 60, 50;w=3600', LEFT: "7 ;w=60"},
            PullLimit(limit=10, remaining=7, window=60),
            id="several-windows-the-first-counts",
        ),
        pytest.param({}, None, id="nothing"),
        pytest.param({LIMIT: "100;w=21600"}, None, id="no-rest"),
        pytest.param({LIMIT: "600", LEFT: "599"}, None, id="requests-per-minute"),
        pytest.param({LEFT: "9;w=0"}, None, id="no-window"),
        pytest.param({LEFT: "-1;w=60"}, None, id="negative"),
        pytest.param({LEFT: "many;w=60"}, None, id="no-number"),
        pytest.param({LEFT: "9" * 40 + ";w=60"}, None, id="endless"),
    ],
)
def test_pull_limit_headers_are_read(headers, expected) -> None:
    assert pull_limit(headers) == expected


@given(limit=st.text(max_size=40), left=st.text(max_size=40))
def test_pull_limit_any_text_is_a_limit_or_none(limit: str, left: str) -> None:
    found = pull_limit({LIMIT: limit, LEFT: left})
    assert found is None or (found.remaining >= 0 and found.window > 0)


@given(limit=st.integers(0, 10**9), left=st.integers(0, 10**9), window=st.integers(1, 10**8))
def test_pull_limit_what_a_registry_writes_is_read_back(limit: int, left: int, window: int) -> None:
    headers = {LIMIT: f"{limit};w={window}", LEFT: f"{left};w={window}"}
    assert pull_limit(headers) == PullLimit(limit=limit, remaining=left, window=window)


def _told(left: int, limit: int = 100) -> PullLimit:
    return PullLimit(limit=limit, remaining=left, window=HOURS)


def test_pull_window_answers_that_overtake_each_other_count_right() -> None:
    window = PullWindow(left=10)
    first, second = window.begin(0, is_pull=True), window.begin(0, is_pull=True)
    window.end(second, _told(8), 1)
    assert window.left == 8
    window.end(first, _told(9), 1)
    assert (window.left, window.spent) == (8, 2)


def test_pull_window_others_pull_too_their_pulls_are_seen() -> None:
    window = PullWindow()
    window.end(window.begin(0, is_pull=False), _told(10), 0)
    window.end(window.begin(0, is_pull=True), _told(4), 1)
    assert window.left == 4


def test_pull_window_an_answer_without_word_costs_until_the_next_says_otherwise() -> None:
    window = PullWindow(left=3)
    window.end(window.begin(0, is_pull=True), None, 1)
    assert window.left == 2
    window.end(window.begin(1, is_pull=False), _told(3), 2)
    assert window.left == 3


def test_pull_window_moves_one_window_after_what_was_first_seen() -> None:
    window = PullWindow()
    assert window.moves_by(0) is None
    window.end(window.begin(5, is_pull=False), _told(100), 5)
    assert window.moves_by(7) == 7 + HOURS
    window.end(window.begin(10, is_pull=True), _told(99), 11)
    assert window.moves_by(20) == 10 + HOURS
    window.end(window.begin(10, is_pull=False), _told(50), 11 + HOURS)
    assert window.moves_by(12 + HOURS) == 11 + 2 * HOURS


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=40), st.integers(0, 20))
def test_pull_window_never_believes_more_than_the_registry_has(steps, limit) -> None:
    """A registry alone with us: answers come in any order, as long as all of them come."""
    window, left, under_way = PullWindow(left=limit), limit, []
    for starts, place in steps:
        if starts and window.left:
            sent = window.begin(0, is_pull=True)
            left -= 1
            under_way.append((sent, left))
        elif under_way:
            sent, told = under_way.pop(place % len(under_way))
            window.end(sent, _told(told, limit), 0)
        assert window.left == left
