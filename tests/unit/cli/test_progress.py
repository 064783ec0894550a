"""The moving part: not one byte without a terminal, gone behind it."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest
from rich.console import Console

from image_tools.cli.progress import Display, overall_text, rendered, wanted
from image_tools.cli.redact import plain
from image_tools.run.progress import Progress, Snapshot


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "quiet", "expected"),
    [
        pytest.param(Screen(), {"TERM": "xterm"}, False, True, id="terminal"),
        pytest.param(Screen(), {"TERM": "xterm"}, True, False, id="quiet"),
        pytest.param(Screen(), {"TERM": "dumb"}, False, False, id="dumb"),
        pytest.param(Screen(), {"TERM": "xterm", "CI": "true"}, False, False, id="ci"),
        pytest.param(Screen(), {"TERM": "xterm", "CI": "false"}, False, True, id="no-ci"),
        pytest.param(io.StringIO(), {"TERM": "xterm"}, False, False, id="file"),
    ],
)
def test_wanted_only_where_somebody_watches(
    stream: io.StringIO, environ: Mapping[str, str], quiet: bool, expected: bool
) -> None:
    assert wanted(stream, environ, quiet=quiet) is expected


def test_display_not_moving_writes_log_lines_alone() -> None:
    stream = io.StringIO()

    with Display(Progress(), stream, moving=False) as display:
        display.write("11:22:33 [INFO] text\n")
        display.give_back()

    assert stream.getvalue() == "11:22:33 [INFO] text\n"


def test_display_moving_shows_lines_above_and_gives_the_cursor_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream, progress = Screen(), Progress()
    progress.expect(3)

    display = Display(progress, stream, moving=True)
    for _ in range(2):
        with display:
            display.write("11:22:33 [INFO] [M_ID:1] text\n")

    text = stream.getvalue()
    assert plain(text).count("11:22:33 [INFO] [M_ID:1] text\n") == 2
    assert "0/3 images" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 2


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        (Snapshot(), "starting"),
        (Snapshot(images_total=3, images_done=1), "1/3 images, 0 B"),
        (
            Snapshot(
                images_total=3,
                images_done=2,
                failed=1,
                bytes_done=5_000_000,
                bytes_total=20_000_000,
                rate=2_500_000.0,
            ),
            "2/3 images, 1 failed, 5.0 MB of 20.0 MB, 2.5 MB/s",
        ),
    ],
)
def test_overall_text_says_what_is_known(snapshot: Snapshot, expected: str) -> None:
    assert overall_text(snapshot) == expected


def test_rendered_shows_one_cut_line_per_job() -> None:
    stream = io.StringIO()
    snapshot = Snapshot(images_total=2, active=("reg/a:1 linux/amd64", "evil\x1b[2J " + "x" * 99))

    Console(file=stream, width=40).print(rendered(snapshot))

    lines = stream.getvalue().splitlines()
    assert lines[1].rstrip() == "  reg/a:1 linux/amd64"
    assert lines[2] == "  evil " + "x" * 32 + "…"
    assert len(lines) == 3
