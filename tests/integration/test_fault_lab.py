"""Every fault at every step, on either side: the declared end, and no harm at the destination."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers.fault_cells import CELLS, FAULTS, SAMPLE, Cell, Step, cells_of
from tests.helpers.fault_lab import complaints, quick, results

__all__ = ["quick"]


def _complaints(cells: Sequence[Cell], folder: Path) -> str:
    """Give a line of each cell that ended otherwise than declared."""
    found = results(cells, folder)
    assert set(found) == set(cells)
    return "\n".join(line for cell in cells for line in complaints(cell, found[cell]))


@pytest.mark.usefixtures("quick")
def test_faults_of_the_sample_end_as_declared(tmp_path: Path) -> None:
    assert _complaints(SAMPLE, tmp_path) == ""


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("step", Step, ids=lambda step: step.name)
def test_faults_of_a_step_end_as_declared(tmp_path: Path, step: Step) -> None:
    assert _complaints(cells_of(step), tmp_path) == ""


def test_sample_has_every_step_and_every_fault_passing_and_lasting() -> None:
    assert {cell.step for cell in SAMPLE} == set(Step)
    assert {(cell.fault, cell.times) for cell in SAMPLE} == {
        (fault, times) for fault in FAULTS for times in (1, None)
    }
    assert len(set(SAMPLE)) == len(SAMPLE)
    assert set(SAMPLE) < set(CELLS)
