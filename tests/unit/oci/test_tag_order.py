"""Tags in the order people expect."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.oci.tag_order import tag_key

ORDERS = {
    "numbers": "1 1.9 1.10 1.10.1 1.11 2 10",
    "v-prefix": "1.9 v1.10 1.11 v2",
    "pre-releases": "1.0-alpha 1.0-alpha.2 1.0-beta 1.0-rc1 1.0-rc.2 1.0-rc10 1.0 1.0.1-rc1 1.0.1",
    "suffixes": "1.25 1.25-alpine 1.25-alpine3.18 1.25-bookworm 1.25.1 1.25.1-alpine",
    "words-last": "1.0 20240131 latest main",
    "dates": "2024-01-31 2024-02-01 2024.10.1",
    "leading-zeros": "1.09 1.9 1.010",
    "same-but-for-spelling": "1.0 v1.0 1.0.0",
    "words-of-pre-releases-alone": "beta latest nightly stable",
    "capitals": "1.0-RC1 1.0-rc2 1.0",
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_tag_key_sorts_as_people_count(order: str) -> None:
    tags = order.split()
    mixed = random.Random(0).sample(tags, len(tags))

    assert sorted(mixed, key=tag_key) == tags


def test_tag_key_many_digits_are_no_trouble() -> None:
    assert sorted(["9" * 5000, "1" + "0" * 5000], key=tag_key)[0] == "9" * 5000


@given(st.lists(st.text(alphabet="v019.-_rcA²٣é", min_size=1), unique=True))
def test_tag_key_any_texts_have_one_order(tags: list[str]) -> None:
    assert sorted(tags, key=tag_key) == sorted(sorted(tags), key=tag_key)
