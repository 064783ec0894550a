"""What image-tools must reach, as numbers computed from the results of one run."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.records import Heat, Record, Results

NEAR, FAR = "loopback", "20ms-800mbit"
Value = Callable[[Results], float | None]

ENOUGH = 4e8  # Bytes.


@dataclass(frozen=True, slots=True)
class Aim:
    """A sentence, the most it may be, and how it is computed; None where it was not measured."""

    text: str
    bound: float
    value: Value


def _seconds(runs: Sequence[Record]) -> float:
    return statistics.median(record.seconds for record in runs)


def _found(results: Results, heat: Heat, word: str) -> list[float]:
    """Give the median seconds of everybody whose name begins so; `peer` is all tools of others."""
    others = ("image-tools", "floor")
    return [
        _seconds(runs)
        for name, runs in results.runs.get(heat, {}).items()
        if (not name.startswith(others) if word == "peer" else name.startswith(word))
    ]


def _ratio(heat: Heat, ours: str, other: str) -> Value:
    """Give our seconds, with the newest skopeo, to the fastest of those whose name begins so."""

    def value(results: Results) -> float | None:
        mine = _found(results, heat, ours)
        theirs = _found(results, heat, other)
        return mine[0] / min(theirs) if mine and theirs else None

    return value


def _versions(results: Results) -> float | None:
    """Give the oldest skopeo's time to the newest's, both through image-tools, cold, 20 ms."""
    mine = _found(results, Heat(FAR, "cold"), "image-tools -j 8,")
    return mine[1] / mine[0] if len(mine) > 1 else None


def _ours(results: Results, *jobs: str) -> Iterator[tuple[Heat, Record]]:
    for heat, runs in results.runs.items():
        for name, records in runs.items():
            if heat.job in jobs and name.startswith("image-tools"):
                yield from ((heat, record) for record in records)


def _most(measure: Callable[[Record, dict[str, int]], float], *jobs: str) -> Value:
    """Give the most that any run of ours had, in these jobs."""

    def value(results: Results) -> float | None:
        rows = _ours(results, *jobs)
        return max((measure(row, results.worlds[heat.link]) for heat, row in rows), default=None)

    return value


def _requests(record: Record, world: dict[str, int]) -> float:
    asked = sum(record.source.values()) + sum(record.destination.values())
    pings = record.source.get("other", 0) + record.destination.get("other", 0)
    return (asked - pings) / world["images"]


def _own_cpu(record: Record, world: dict[str, int]) -> float:
    size = world["unique_bytes"]
    return record.own_cpu * 5e8 / size if size > ENOUGH else 0.0


AIMS = (
    Aim(
        "cold, 20 ms, -j 8: to the fastest peer",
        0.45,
        _ratio(Heat(FAR, "cold"), "image-tools -j 8", "peer"),
    ),
    Aim(
        "cold, 20 ms, -j 8: to the floor",
        1.15,
        _ratio(Heat(FAR, "cold"), "image-tools -j 8", "floor"),
    ),
    Aim(
        "cold, loopback, -j 4: to the fastest peer",
        0.75,
        _ratio(Heat(NEAR, "cold"), "image-tools -j 4", "peer"),
    ),
    Aim(
        "unchanged, 20 ms: to regsync",
        0.5,
        _ratio(Heat(FAR, "unchanged"), "image-tools -j 8", "regsync"),
    ),
    Aim(
        "unchanged, 20 ms: to crane",
        0.3,
        _ratio(Heat(FAR, "unchanged"), "image-tools -j 8", "crane"),
    ),
    Aim(
        "unchanged, loopback: to regsync",
        3,
        _ratio(Heat(NEAR, "unchanged"), "image-tools -j 4", "regsync"),
    ),
    Aim(
        "one changed, 20 ms: to regsync",
        0.6,
        _ratio(Heat(FAR, "one changed"), "image-tools -j 8", "regsync"),
    ),
    Aim(
        "one changed, 20 ms: to crane",
        0.35,
        _ratio(Heat(FAR, "one changed"), "image-tools -j 8", "crane"),
    ),
    Aim("cold, oldest skopeo to newest, -j 8, 20 ms", 1.1, _versions),
    Aim(
        "cold, bytes from the source to unique ones, any -j",
        1.005,
        _most(lambda r, w: r.read / w["unique_bytes"], "cold"),
    ),
    Aim(
        "cold, bytes to the destination to unique ones, any -j",
        1.005,
        _most(lambda r, w: r.written / w["unique_bytes"], "cold"),
    ),
    Aim(
        "cold, manifest GETs at the source to manifests there are",
        1,
        _most(lambda r, w: r.source.get("manifest GET", 0) / w["manifests"], "cold"),
    ),
    Aim("unchanged, requests per image without the greeting", 2, _most(_requests, "unchanged")),
    Aim(
        "unchanged, manifest GETs",
        0,
        _most(lambda r, _: r.source.get("manifest GET", 0), "unchanged"),
    ),
    Aim(
        "connections, both sides, any job",
        64,
        _most(lambda r, _: r.connections, "cold", "unchanged", "one changed"),
    ),
    Aim(
        "cold, own CPU seconds per 500 MB",
        2,
        # Of a small world most would be what images cost, not bytes.
        _most(_own_cpu, "cold"),
    ),
)
