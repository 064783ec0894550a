"""What scripts/bare refuses. That it works is seen by running it: scripts/soak does."""

from __future__ import annotations

import subprocess

import pytest

from tests.helpers.documents import ROOT


@pytest.mark.parametrize("words", [["-x"], ["bookworm", "true"], ["book/../worm"], ["--"]])
def test_bare_wrong_words_are_refused_before_anything_is_made(words: list[str]) -> None:
    done = subprocess.run(
        [ROOT / "scripts/bare", *words], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: scripts/bare [SUITE] [-- COMMAND...]")
