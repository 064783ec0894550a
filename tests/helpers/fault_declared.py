"""What is declared of a cell: its rule, and what follows from that."""

from __future__ import annotations

from tests.helpers.fault_cells import Cell, Step
from tests.helpers.fault_rules import COPIED, EXCEPTIONS, GENERAL, Rule
from tests.helpers.fault_types import ALWAYS


def tag_of(cell: Cell) -> str:
    """Give what the tag holds in the end: ``old``, ``new``, or ``-`` where nothing is written."""
    if cell.step is Step.SOURCE_TAGS:
        return "-"
    rule = rule_of(cell)
    # What is read back is written by then.
    if rule.end(cell) == COPIED or cell.step is Step.READ_BACK:
        return "new"
    return rule.tag


def attempts_of(cell: Cell) -> int:
    """Give how often one thing may be asked for at the most."""
    return rule_of(cell).attempts if cell.times is ALWAYS else 1


def rule_of(cell: Cell) -> Rule:
    """Give the rule that counts for a cell."""
    return next(rule for rule in (*EXCEPTIONS, *GENERAL) if rule.fits(cell))
