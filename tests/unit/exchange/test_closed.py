"""What a refused push closes, and for whom."""

from __future__ import annotations

import pytest

from image_tools.errors import CopyFailed, QuotaExceeded, ReadOnly, Scope, TagImmutable, Unavailable
from image_tools.exchange.ledger import ClosedPlaces


def refused(kind: type[CopyFailed], closes: Scope | None = None) -> CopyFailed:
    error = kind("r.example/team/app: no")
    error.closes = error.closes if closes is None else closes
    return error


@pytest.mark.parametrize(
    ("error", "closed", "still_open"),
    [
        (refused(QuotaExceeded), ["team/app", "team/other", "team"], ["teams/app", "other/app"]),
        (refused(QuotaExceeded, "repository"), ["team/app"], ["team/other", "team"]),
        (refused(QuotaExceeded, "nothing"), [], ["team/app"]),
        (refused(ReadOnly, "registry"), ["team/app", "other/app"], []),
        (refused(TagImmutable), [], ["team/app"]),
        (refused(Unavailable), [], ["team/app"]),
    ],
)
def test_closed_place_is_where_the_refusal_says(
    error: CopyFailed, closed: list[str], still_open: list[str]
) -> None:
    places = ClosedPlaces()
    places.note("team/app", error)

    assert [places.refusal(name) for name in closed] == [error] * len(closed)
    assert [places.refusal(name) for name in still_open] == [None] * len(still_open)


def test_closed_tags_are_those_that_exist() -> None:
    places, error = ClosedPlaces(), refused(TagImmutable)
    places.note("team/app", error)

    assert places.refusal("team/app", changes_tag=True) is error
    assert places.refusal("team/other", changes_tag=True) is None


def test_check_of_a_closed_place_says_that_it_was_not_tried_and_why() -> None:
    places = ClosedPlaces()
    places.note("team/app", refused(QuotaExceeded))

    with pytest.raises(QuotaExceeded) as caught:
        places.check("r.example/team/b:1", "team/b")

    assert str(caught.value) == (
        "r.example/team/b:1: not tried, an earlier push was refused: r.example/team/app: no"
    )
    assert caught.value.closes == "nothing"


def test_first_refusal_of_a_place_is_the_one_that_is_told() -> None:
    places, first = ClosedPlaces(), refused(QuotaExceeded)
    places.note("team/app", first)
    places.note("team/other", refused(QuotaExceeded))

    assert places.refusal("team/b") is first
