"""What single parts cost: `benchmarks/small [start] [plan] [exchange] [lines]`."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.exchange_flow import flow
from benchmarks.measure import Command, Cost, Failed, run
from benchmarks.memory_registry import Pair, memory_registries, repository
from benchmarks.relay import Link, far_away
from benchmarks.tables import table
from image_tools.imagelist.reader import read_list
from image_tools.imagelist.registries import choose_registries
from image_tools.oci.digest import Digest
from image_tools.plan.schedule import Work, order
from tests.helpers import tools

PROGRAM = Path(sys.executable).with_name("image-tools")
PATIENCE = 900.0


def start(wanted: argparse.Namespace) -> str:
    """Give the table of start-up: what a command costs before it does anything."""
    with _home() as home, memory_registries(1) as pair:
        convert = ["-i", "list.txt", "-d", "dest.example"]
        names = {
            "python -c pass": [sys.executable, "-I", "-c", "pass"],
            "image-tools --help": [PROGRAM, "--help"],
            "image-tools version": [PROGRAM, "version"],
            "image-tools convert-list, 1 line": [PROGRAM, "convert-list", *convert],
            "image-tools mirror, 1 line unchanged": _mirror(pair, 1, home),
        }
        (home / "list.txt").write_text(_lines(pair.source, 1))
        found: dict[str, list[Cost]] = {name: [] for name in names}
        for _ in range(wanted.rounds):
            for name, argv in names.items():
                found[name].append(_run(home, argv))
    rows = [
        (
            name,
            f"{1000 * statistics.median(one.seconds for one in costs):.0f}",
            f"{1000 * statistics.median(one.cpu for one in costs):.0f}",
            f"{max(one.memory for one in costs) / 1e6:.0f}",
        )
        for name, costs in found.items()
    ]
    return table((f"medians of {wanted.rounds}", "ms", "CPU ms", "memory MB"), rows)


def plan(wanted: argparse.Namespace) -> str:
    """Give the table of what is pure: reading a list, ordering its copies."""
    count = max(wanted.lines)
    content = _lines("source.example", count).encode()
    registries = choose_registries(None, "dest.example", "library", {})
    layers = [Digest.of(str(number).encode()) for number in range(count)]
    lane = ("source.example", "dest.example")
    works = [
        Work(image=number, lane=lane, blobs={layers[number]: number, layers[number // 9]: 9})
        for number in range(count)
    ]
    rows = [
        (f"read a list of {count} lines", _best(lambda: read_list(content, "list", registries))),
        (f"order {count} copies of 2 blobs", _best(lambda: order(works))),
    ]
    return table(("", "ms, best of 5"), rows)


def _best(action: Callable[[], object]) -> str:
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        action()
        took.append(time.perf_counter() - begun)
    return f"{1000 * min(took):.1f}"


def exchange(wanted: argparse.Namespace) -> str:
    """Give the table of the exchange as a pipe: bytes out of it and into it."""
    rows = [
        (
            f"{way}, {streams} at once",
            f"{wanted.gigabytes / found.seconds:.2f}",
            f"{found.cpu / wanted.gigabytes:.2f}",
        )
        for way in ("pull", "push")
        for streams in (1, 20)
        for found in [flow(way, streams, int(wanted.gigabytes * 1e9))]
    ]
    return table((f"{wanted.gigabytes:g} GB", "GB/s", "CPU s per GB"), rows)


def lines(wanted: argparse.Namespace) -> str:
    """Give the table of long lists, against registries that answer from memory."""
    rows = []
    for count, every in (*((count, 0) for count in wanted.lines), (wanted.lines[-1], 4)):
        with memory_registries(count, every) as pair, _far(pair, wanted.round_trip) as ends:
            for name, argv in _walkers(count, bool(every)):
                with _home() as home:
                    rows.append(_walk(name, home, argv(ends, home), (count, every)))
    head = ("", "seconds", "ms a line", "CPU s", "own CPU s", "memory MB", "state kB")
    return f"Round trip {wanted.round_trip} ms.\n\n" + table(head, rows)


def _walkers(
    count: int, changed: bool
) -> Iterator[tuple[str, Callable[[Pair, Path], list[str | Path]]]]:
    yield "image-tools -j 8", lambda ends, home: _mirror(ends, count, home)
    if shutil.which("regsync") and not changed:
        yield "regsync, parallel 8", lambda ends, home: _regsync(ends, count, home)


def _walk(name: str, home: Path, argv: list[str | Path], kind: tuple[int, int]) -> tuple[str, ...]:
    count, every = kind
    title = f"{name}: {count} lines, {f'1 of {every} changed' if every else 'unchanged'}"
    print(f"{title} ...", file=sys.stderr, flush=True)
    try:
        cost = _run(home, argv)
    except Failed as error:
        return (title, str(error), *[""] * 5)
    state = home / "state.db"
    size = sum(one.stat().st_size for one in home.glob("state.db*")) if state.exists() else 0
    return (
        title,
        f"{cost.seconds:.2f}",
        f"{1000 * cost.seconds / count:.2f}",
        f"{cost.cpu:.2f}",
        f"{cost.own_cpu:.2f}",
        f"{cost.memory / 1e6:.0f}",
        f"{size / 1e3:.0f}",
    )


def _mirror(ends: Pair, count: int, home: Path) -> list[str | Path]:
    (home / "lines.txt").write_text(_lines(ends.source, count))
    fixed: list[str | Path] = [PROGRAM, "mirror", "-f", home / "lines.txt", "-j", "8"]
    fixed += ["--tls-verify=false", "--arch", "all", "--os", "all", "-q"]
    return [*fixed, "-d", ends.destination, "--state", home / "state.db", "-o", home / "failed.txt"]


def _regsync(ends: Pair, count: int, home: Path) -> list[str | Path]:
    both = ends.source, ends.destination
    creds = "".join(f"  - registry: {end}\n    tls: disabled\n" for end in both)
    sync = "".join(
        f"  - source: {source}\n    target: {target}\n    type: image\n"
        for source, target in zip(*(_lines(end, count).split() for end in both), strict=True)
    )
    path = home / "regsync.yaml"
    path.write_text(f"version: 1\ncreds:\n{creds}defaults:\n  parallel: 8\nsync:\n{sync}")
    return ["regsync", "once", "-c", path]


def _lines(address: str, count: int) -> str:
    return "".join(f"{address}/{repository(number)}:1.0\n" for number in range(count))


@contextmanager
def _far(pair: Pair, milliseconds: int) -> Iterator[Pair]:
    link = Link(milliseconds)
    with far_away(pair.source, link) as source, far_away(pair.destination, link) as destination:
        yield Pair(source, destination)


@contextmanager
def _home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-home-") as folder:
        yield Path(folder)


def _run(home: Path, argv: list[str | Path]) -> Cost:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "IMAGE_TOOLS_SKOPEO": str(tools.newest("skopeo")),
        "IMAGE_TOOLS_BUILDX": str(tools.newest("buildx")),
    }
    return run(Command(argv=argv, folder=home, environment=environment), PATIENCE)


PARTS: dict[str, Callable[[argparse.Namespace], str]] = {
    "start": start,
    "plan": plan,
    "exchange": exchange,
    "lines": lines,
}


def main(words: list[str]) -> int:
    """Measure the chosen parts and print their tables."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/small",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("parts", nargs="*", choices=[*PARTS, []], default=[], help="all of them without a word")
    add("--rounds", type=int, default=9, help="starts of each command")
    add("--gigabytes", type=float, default=2.0, help="through the exchange")
    add("--lines", type=_counts, default="100,1000,10000", help="lengths of lists")
    add("--round-trip", type=int, default=0, help="ms to both registries of the long lists")
    wanted = parser.parse_args(words)
    try:
        for name in wanted.parts or PARTS:
            print(f"## {name}\n\n{PARTS[name](wanted)}\n", flush=True)
    except KeyboardInterrupt:
        return 130
    return 0


def _counts(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _terminated(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(main(sys.argv[1:]))
