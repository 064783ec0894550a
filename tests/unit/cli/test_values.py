"""Values of options: text in, typed value out, or a sentence that says what to write."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.cli import values

READ: list[tuple[Callable[[str], Any], str, Any]] = [
    (values.boolean, "true", True),
    (values.boolean, " YES ", True),
    (values.boolean, "1", True),
    (values.boolean, "off", False),
    (values.boolean, "F", False),
    (values.duration, "0", 0.0),
    (values.duration, "90s", 90.0),
    (values.duration, "1h2m3s", 3723.0),
    (values.duration, "1.5h", 5400.0),
    (values.duration, ".5s", 0.5),
    (values.duration, "500ms", 0.5),
    (values.duration, "2M", 120.0),
    (values.limit, "0", None),
    (values.limit, "0s", None),
    (values.limit, "10m", 600.0),
    (values.patience, "Forever", math.inf),
    (values.patience, "0", 0.0),
    (values.patience, "5m", 300.0),
    (values.whole_number, "-3", -3),
    (values.count, "0", 0),
    (values.words, "AMD64, arm64", ("amd64", "arm64")),
    (values.words, "all", ("all",)),
    (values.one_of("table", "json"), "JSON", "json"),
]


@pytest.mark.parametrize(
    ("read", "text", "expected"), READ, ids=[f"{r.__name__}:{t}" for r, t, _ in READ]
)
def test_value_readable_text_is_typed(read: Callable[[str], Any], text: str, expected: Any) -> None:
    assert read(text) == expected


REFUSED: list[tuple[Callable[[str], Any], str, str]] = [
    (values.boolean, "maybe", "'maybe' is neither true nor false"),
    (values.boolean, "", "'' is neither true nor false"),
    (values.duration, "10", "'10' has no unit: write 10s or 10m"),
    (values.duration, "soon", "is not a duration: write 90s, 10m or 1h30m"),
    (values.duration, "-5s", "is not a duration"),
    (values.duration, "5s 3m", "is not a duration"),
    (values.duration, "", "is not a duration"),
    (values.whole_number, "1.5", "'1.5' is not a whole number"),
    (values.count, "-1", "'-1' is less than 0"),
    (values.words, " , ", "names nothing"),
    (values.words, "linux/amd64", "is a platform: name its parts with --os, --arch"),
    (values.words, "amd64;arm64", "is not a word"),
    (values.repository_type, "quay", "'quay' is unknown: write harbor, or leave the option out"),
    (values.one_of("table", "json"), "yaml", "'yaml' is unknown: write table or json"),
]


@pytest.mark.parametrize(
    ("read", "text", "message"), REFUSED, ids=[f"{r.__name__}:{t}" for r, t, _ in REFUSED]
)
def test_value_unreadable_text_says_what_to_write(
    read: Callable[[str], Any], text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read(text)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, None),
        (("all",), None),
        (("amd64", "*"), None),
        (("arm", "arm"), frozenset({"arm"})),
    ],
)
def test_chosen_everything_is_no_set(
    found: tuple[str, ...] | None, expected: frozenset[str] | None
) -> None:
    assert values.chosen(found) == expected


@pytest.mark.parametrize(("wished", "used"), [(-5, 1), (0, 1), (1, 1), (20, 20), (100, 20)])
def test_jobs_out_of_range_become_the_nearest(wished: int, used: int) -> None:
    assert values.jobs_in_range(wished) == used


@given(hours=st.integers(0, 99), minutes=st.integers(0, 99), seconds=st.integers(0, 99))
def test_duration_written_as_go_does_is_read_back(hours: int, minutes: int, seconds: int) -> None:
    text = f"{hours}h{minutes}m{seconds}s"

    assert values.duration(text) == hours * 3600 + minutes * 60 + seconds


@pytest.mark.parametrize(
    ("text", "part"), [("5%", 0.05), ("5", 0.05), (" 100% ", 1.0), ("0%", 0.0)]
)
def test_percentage_is_a_part_of_one(text: str, part: float) -> None:
    assert values.percentage(text) == pytest.approx(part)


@pytest.mark.parametrize("text", ["", "many", "101%", "-1%", "nan"])
def test_percentage_of_anything_else_is_explained(text: str) -> None:
    with pytest.raises(ValueError, match=r"percentage|between"):
        values.percentage(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("harbor", "harbor"), (" Harbor ", "harbor"), ("", "")]
)
def test_repository_type_is_harbor_or_nothing(text: str, expected: str) -> None:
    assert values.repository_type(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4G", 4 << 30),
        ("4GiB", 4 << 30),
        ("4gb", 4_000_000_000),
        ("500M", 500 << 20),
        ("1.5k", 1536),
        (" 4096 ", 4096),
        ("4096b", 4096),
        ("2T", 2 << 40),
        ("0", 0),
    ],
)
def test_size_is_in_bytes(text: str, expected: int) -> None:
    assert values.size(text) == expected


@pytest.mark.parametrize("text", ["", "G", "4 G", "-1G", "4X", "4GBB", "1e3", "٤G", "1,5G"])
def test_size_unreadable_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size: write 4G"):
        values.size(text)
