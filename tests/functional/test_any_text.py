"""Everything that reads outside text, given text made of what it looks for: a fuzzer's work.

A little of it for every change; scripts/soak does a great deal more, and lets atheris look for
texts that reach lines no text has reached before.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_tools.errors import ImageToolsError
from tests.helpers.documents import ROOT
from tests.helpers.readings import READINGS, Reading

LITTLE = 40
MUCH = 2_000
SECONDS = 20
amounts = pytest.mark.parametrize(
    "amount",
    [LITTLE, pytest.param(MUCH, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])],
    ids=["little", "much"],
)


def texts(reading: Reading) -> st.SearchStrategy[str]:
    """Give text made of the pieces a reading looks for, and a few other letters."""
    pieces = st.sampled_from(reading.words())
    letters = st.text(max_size=3) | st.sampled_from(["a" * 200, "0" * 5000, ".a" * 100])
    return st.lists(st.one_of(pieces, pieces, letters), max_size=40).map("".join)


@amounts
@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
def test_any_text_is_soon_an_answer_or_an_error_of_ours(reading: Reading, amount: int) -> None:
    read_texts: list[str] = []

    @settings(
        max_examples=amount, deadline=None, database=None, suppress_health_check=[*HealthCheck]
    )
    @given(texts(reading))
    def story(text: str) -> None:
        read_texts.append(text[:1])
        with suppress(ImageToolsError):
            reading.read(text)

    story()

    assert read_texts


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this machine"
)
@pytest.mark.parametrize("name", READINGS)
def test_text_that_reaches_new_lines_is_no_bug_no_hang_and_little_memory(
    name: str, tmp_path: Path
) -> None:
    argv = [sys.executable, "-m", "tests.helpers.fuzz", name, str(tmp_path), str(SECONDS)]

    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-4000:]
    assert "Done " in done.stderr
