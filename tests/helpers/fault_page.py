"""The tables of docs/faults.md, made from the cells and the rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tests.helpers.fault_cells import CELLS, FAULTS, SAMPLE, Side, Step, cells_of
from tests.helpers.fault_declared import rule_of
from tests.helpers.fault_rules import COPIED, EXCEPTIONS, GENERAL, Rule
from tests.helpers.fault_types import ALWAYS

_TABLE = re.compile(r"(?<=<!-- table: )(\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


def with_tables(text: str) -> str:
    """Give the document with its tables as they are to be, between their marks."""
    tables = {
        "numbers": _numbers(),
        "faults": _table(("fault", "once", "always", "asked at most", "why"), _general()),
        "exceptions": _table(
            ("side", "step", "fault", "once", "always", "asked at most", "why"), _special()
        ),
        "steps": _table(("side", "step", "cells", "copied", "failed", "then the tag is"), _steps()),
    }
    return _TABLE.sub(lambda found: f"{found[1]}{found[2]}\n{tables[found[1]]}\n", text)


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [titles, ("---",) * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _numbers() -> str:
    copied = sum(rule_of(cell).end(cell) == COPIED for cell in CELLS)
    return (
        f"{len(CELLS)} cells: {len(Step)} steps, {len(FAULTS)} faults, each once and always, where"
        f" it means anything. {copied} of them end in a copy, {len(CELLS) - copied} in a failure"
        f" that is explained. {len(SAMPLE)} are run for every change, all of them by"
        " `scripts/soak`.\n"
    )


def _general() -> Iterator[tuple[str, ...]]:
    for rule in GENERAL:
        yield _names(rule), *_ends(rule)


def _special() -> Iterator[tuple[str, ...]]:
    for rule in EXCEPTIONS:
        sides = dict.fromkeys(step.side.value for step in rule.steps)
        words = dict.fromkeys(step.words for step in rule.steps)
        yield " and ".join(sides), "; ".join(words), _names(rule), *_ends(rule)


def _names(rule: Rule) -> str:
    return ", ".join(fault.name for fault in FAULTS if fault.kind in rule.kinds)


def _ends(rule: Rule) -> tuple[str, str, str, str]:
    return _end(rule.once), _end(rule.always), str(rule.attempts), rule.why


def _end(word: str) -> str:
    return word if word == COPIED else f"`{word}`" if word else "as elsewhere"


def _steps() -> Iterator[tuple[str, ...]]:
    for side in Side:
        for step in (one for one in Step if one.side is side):
            ends = [rule_of(cell).end(cell) for cell in cells_of(step)]
            copied = ends.count(COPIED)
            numbers = (len(ends), copied, len(ends) - copied)
            yield side.value, step.words, *map(str, numbers), _tag(step)


def _tag(step: Step) -> str:
    if step is Step.SOURCE_TAGS:
        return "not written"
    if step is Step.READ_BACK:
        return "the new image, whole"
    rules = {rule_of(cell) for cell in cells_of(step) if cell.times is ALWAYS}
    is_written = any(rule.tag == "new" for rule in rules)
    return "as it was, or the new image, whole" if is_written else "as it was"
