"""What was measured, as it is kept in a file: tables and pictures are made from it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One run: seconds, CPU seconds of the tree and of the program alone, peak bytes of memory.

    `source` and `destination` count requests by kind; `read` and `written` are bytes of content;
    `connections` those of both sides.
    """

    seconds: float
    cpu: float
    own_cpu: float
    memory: int
    source: Mapping[str, int] = field(default_factory=dict)
    destination: Mapping[str, int] = field(default_factory=dict)
    read: int = 0
    written: int = 0
    connections: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Heat:
    """What contestants are compared in: one job over one link."""

    link: str
    job: str


@dataclass(slots=True, kw_only=True)
class Results:
    """All that a run of the benchmarks found, and where.

    `machine` says in words what it ran on, `worlds` what was mirrored over each link: `images`,
    `unique_bytes` and `subset_bytes`. A contestant that failed has its reason in `failures`.
    """

    machine: dict[str, str]
    worlds: dict[str, dict[str, int]] = field(default_factory=dict)
    runs: dict[Heat, dict[str, list[Record]]] = field(default_factory=dict)
    failures: dict[Heat, dict[str, str]] = field(default_factory=dict)

    def add(self, heat: Heat, name: str, found: Record | str) -> None:
        """Note a run, or why it failed."""
        if isinstance(found, str):
            self.failures.setdefault(heat, {})[name] = found
        else:
            self.runs.setdefault(heat, {}).setdefault(name, []).append(found)

    def to_json(self) -> str:
        """Give everything as one JSON document."""
        failures = (
            {**dataclasses.asdict(heat), "name": name, "reason": reason}
            for heat, found in self.failures.items()
            for name, reason in found.items()
        )
        parts = {"machine": json.dumps(self.machine), "worlds": json.dumps(self.worlds)}
        parts |= {"runs": _lines(self._rows()), "failures": _lines(failures)}
        inside = ",\n".join(f'"{name}": {text}' for name, text in parts.items())
        return f"{{\n{inside}\n}}\n"

    def _rows(self) -> Iterator[dict[str, Any]]:
        for heat, contestants in self.runs.items():
            for name, records in contestants.items():
                for record in records:
                    # Not rounded: tables made of what was kept are those that were printed.
                    yield {**dataclasses.asdict(heat), "name": name, **dataclasses.asdict(record)}


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Give a list with a line for each row: a change of one is seen as one."""
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]"


def read_results(path: Path) -> Results:
    """Give what `to_json` wrote."""
    value = json.loads(path.read_text())
    results = Results(machine=value["machine"], worlds=value["worlds"])
    for row in value["runs"]:
        heat, name = Heat(row.pop("link"), row.pop("job")), row.pop("name")
        results.add(heat, name, Record(**row))
    for row in value["failures"]:
        results.add(Heat(row["link"], row["job"]), row["name"], row["reason"])
    return results
