from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.oci import media
from image_tools.plan.cost import PullNeed, foreseen, unaffordable
from image_tools.plan.selection import Selection

PLAIN = Selection(attestations=False)
EVERYTHING = Selection(architectures=None, systems=None)


@pytest.mark.parametrize(
    ("media_type", "size", "selection", "tops_only", "expected"),
    [
        pytest.param(media.OCI_MANIFEST, 500, PLAIN, False, PullNeed(1, 1), id="single"),
        pytest.param(media.OCI_INDEX, 9000, PLAIN, False, PullNeed(3, 3), id="two-platforms"),
        pytest.param(media.DOCKER_LIST, 9000, Selection(), False, PullNeed(5, 3), id="attested"),
        pytest.param(
            media.OCI_INDEX, 450, Selection(), False, PullNeed(3, 3), id="bounded-by-size"
        ),
        pytest.param(media.OCI_INDEX, 100, PLAIN, False, PullNeed(2, 2), id="tiny"),
        pytest.param(media.OCI_INDEX, 2000, EVERYTHING, False, PullNeed(11, 11), id="everything"),
        pytest.param(media.OCI_INDEX, None, PLAIN, False, PullNeed(3, 3), id="size-not-told"),
        pytest.param(media.OCI_INDEX, 9000, PLAIN, True, PullNeed(1, 1), id="index-alone"),
        pytest.param(media.DOCKER_SCHEMA1, 900, PLAIN, False, PullNeed(3, 1), id="converted"),
        pytest.param(media.DOCKER_SCHEMA1, 900, PLAIN, True, PullNeed(1, 1), id="converted-alone"),
    ],
)
def test_foreseen_cost_of_an_image(media_type, size, selection, tops_only, expected) -> None:
    assert foreseen(media_type, size, selection, tops_only=tops_only) == expected


@pytest.mark.parametrize(
    ("costs", "left", "expected"),
    [
        ((), 5, frozenset()),
        ((3, 3, 3), 9, frozenset()),
        ((3, 3, 3), 8, frozenset({2})),
        ((9, 1, 4), 5, frozenset({0})),
        ((2, 1), 0, frozenset({0, 1})),
    ],
)
def test_unaffordable_cheap_ones_go_first(costs, left, expected) -> None:
    assert unaffordable(costs, left) == expected


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(0, 40))
def test_unaffordable_what_is_left_over_fits_and_nothing_else_would(costs, left) -> None:
    put_off = unaffordable(costs, left)
    spent = sum(cost for at, cost in enumerate(costs) if at not in put_off)
    assert spent <= left
    assert all(costs[at] > left - spent for at in put_off)
