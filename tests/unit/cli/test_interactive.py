"""Questions to the person at the terminal."""

from __future__ import annotations

import io
import sys

import pytest

from image_tools.cli.interactive import agreed, asking
from image_tools.cli.progress import Display
from image_tools.run.progress import Progress


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("y\n", True),
        (" YES \n", True),
        ("n\n", False),
        ("\n", False),
        ("", False),
        ("yep\n", False),
    ],
)
def test_agreed_only_a_yes_is_one(
    typed: str,
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))

    assert agreed("Delete it?\x1b[2J") is expected
    assert capsys.readouterr() == ("", "Delete it? [y/N] ")


def test_asking_nobody_is_asked_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    display = Display(Progress(), sys.stderr, moving=False)

    assert asking({}, display) is None
