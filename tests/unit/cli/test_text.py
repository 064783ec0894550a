"""Widths, cuts and numbers as people read them."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.cli import text


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "width"),
    [({}, 80), ({"COLUMNS": "132"}, 132), ({"COLUMNS": "0"}, 80), ({"COLUMNS": "wide"}, 80)],
)
def test_terminal_width_without_terminal_is_stated_or_80(
    environ: Mapping[str, str], width: int
) -> None:
    assert text.terminal_width(io.StringIO(), environ) == width


@pytest.mark.parametrize(
    ("stream", "environ", "expected"),
    [
        pytest.param(Screen(), {"TERM": "xterm"}, True, id="terminal"),
        pytest.param(Screen(), {"TERM": "dumb"}, False, id="dumb"),
        pytest.param(Screen(), {}, False, id="unknown"),
        pytest.param(Screen(), {"TERM": "xterm", "NO_COLOR": "1"}, False, id="no-color"),
        pytest.param(io.StringIO(), {"TERM": "xterm"}, False, id="file"),
    ],
)
def test_coloured_only_on_a_willing_terminal(
    stream: io.StringIO, environ: Mapping[str, str], expected: bool
) -> None:
    assert text.coloured(stream, environ) is expected


def test_is_terminal_closed_stream_is_none() -> None:
    stream = io.StringIO()
    stream.close()

    assert not text.is_terminal(stream)


@pytest.mark.parametrize(
    ("shown", "width"), [("abc", 3), ("镜像", 4), ("e\u0301", 1), ("a\u200bb", 2), ("", 0)]
)
def test_cells_wide_and_marking_characters_are_counted(shown: str, width: int) -> None:
    assert text.cells(shown) == width


@pytest.mark.parametrize(
    ("shown", "width", "expected"),
    [
        ("short", 5, "short"),
        ("registry.example/team/app:1.2", 13, "regist…pp:1.2"),
        ("abcdef", 1, "…"),
        ("abcdef", 0, ""),
        ("镜像镜像", 5, "镜…像"),
    ],
)
def test_clipped_long_text_loses_its_middle(shown: str, width: int, expected: str) -> None:
    assert text.clipped(shown, width) == expected


def test_clipped_end_not_kept_loses_its_end() -> None:
    assert text.clipped("0123456789ab preserved", 13, keep_end=False) == "0123456789ab…"


@given(st.text(max_size=30), st.integers(0, 30), st.booleans())
def test_clipped_any_text_fits(shown: str, width: int, keep_end: bool) -> None:
    assert text.cells(text.clipped(shown, width, keep_end=keep_end)) <= width


@pytest.mark.parametrize(
    ("shown", "right", "expected"),
    [("ab", False, "ab  "), ("ab", True, "  ab"), ("镜", True, "  镜")],
)
def test_padded_text_fills_its_column(shown: str, right: bool, expected: str) -> None:
    assert text.padded(shown, 4, right=right) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_940, "999.9 kB"),
        (999_960, "1.0 MB"),
        (12_345_678, "12.3 MB"),
        (5e9, "5.0 GB"),
        (7e12, "7.0 TB"),
        (3e15, "3.0 PB"),
    ],
)
def test_human_bytes_has_one_decimal_and_a_unit(count: float, expected: str) -> None:
    assert text.human_bytes(count) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.0s"),
        (0.44, "0.4s"),
        (59.9, "59.9s"),
        (59.96, "1m00s"),
        (125, "2m05s"),
        (3599.7, "1h00m"),
        (3720, "1h02m"),
        (90_000, "25h00m"),
    ],
)
def test_human_seconds_reads_like_a_clock(seconds: float, expected: str) -> None:
    assert text.human_seconds(seconds) == expected
