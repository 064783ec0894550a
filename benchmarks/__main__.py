"""Mirror one list in many ways, in one run, and compare: `benchmarks/run --help`."""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.child import ROOT
from benchmarks.race import JOBS, Course, Race, Wish
from benchmarks.records import Results, read_results
from benchmarks.relay import Link
from benchmarks.tables import document, write_between
from tests.helpers import tools

DOCUMENT = ROOT / "docs/benchmarks.md"
RECORDS, PICTURE = DOCUMENT.with_suffix(".json"), DOCUMENT.with_suffix(".svg")
# At 100 Mbit/s, 500 MB are 40 s for the link alone, and there are many contestants.
FULL = (("loopback", 500.0, 4), ("20ms-800mbit", 500.0, 8), ("100ms-100mbit", 60.0, 16))
QUICK_LINKS, QUICK_IMAGES, QUICK_MEGABYTES = "loopback,20ms-800mbit", 8, 12.0


def options() -> argparse.ArgumentParser:
    """Give what the command line may say."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/run",
        description="Mirror one list in many ways, in one run, and print a table.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="a small sample, less than a minute")
    add("--images", type=int, help="how many images (60; quick: 8)")
    add("--megabytes", type=float, help="distinct MB (500; 60 where the link is thin)")
    add("--links", help="such as loopback,20ms-800mbit,100ms-100mbit: the three of the full run")
    add("--jobs", default=",".join(JOBS), help="jobs to run")
    add("--contestants", default="", help="patterns of names: 'crane;image-tools -j 8'")
    add("--peer-jobs", type=int, help="images at once for the others (4 near, 8 at 20 ms, 16 far)")
    add("--rounds", type=int, default=3, help="at most so many")
    add("--minutes", type=float, default=20, help="begin no further round beyond this time")
    add("--patience", type=float, default=300, help="seconds for one job of one contestant")
    add("--tokens", choices=("far", "yes", "no"), default="far", help="bearer tokens")
    add("--slow", action="store_true", help="skopeo sync over far links, too")
    add("--folder", type=Path, help="where the registries keep their content (temporary folder)")
    add("--record", type=Path, help="also keep what was measured in this file (JSON)")
    add("--from", type=Path, dest="given", help="measure nothing, take what --record kept")
    add("--write", action="store_true", help=f"write {DOCUMENT.relative_to(ROOT)} and its picture")
    return parser


def main(words: list[str]) -> int:
    """Measure, print, and write on demand; also what was measured before Ctrl-C."""
    wanted = options().parse_args(words)
    results, code = _results(wanted), 0
    if wanted.given is None:
        try:
            Race(_wish(wanted), results).run()
        except KeyboardInterrupt:
            code = 130
    command = shlex.join(["benchmarks/run", *(word for word in words if word != "--write")])
    sys.stdout.write(document(results, command))
    if wanted.record:
        wanted.record.write_text(results.to_json())
    if wanted.write and not code:
        _write(results, command)
    return code


def _results(wanted: argparse.Namespace) -> Results:
    if wanted.given is not None:
        return read_results(wanted.given)
    versions = [
        f"{name} {'/'.join(tool.version for tool in tools.versions(name))}"
        for name in ("skopeo", "docker-registry")
    ]
    return Results(
        machine={
            "measured": time.strftime("%Y-%m-%d"),
            "on": f"{os.cpu_count()} CPUs, {platform.machine()}",
            "load before": f"{os.getloadavg()[0]:.1f}",
            "Python": platform.python_version(),
            "with": ", ".join(versions),
        }
    )


def _write(results: Results, command: str) -> None:
    from benchmarks.picture import draw  # only who writes needs matplotlib

    write_between(DOCUMENT, f"![medians](benchmarks.svg)\n\n{document(results, command)}")
    RECORDS.write_text(results.to_json())
    draw(results, PICTURE)


def _wish(wanted: argparse.Namespace) -> Wish:
    if wanted.folder:
        tempfile.tempdir = str(wanted.folder.resolve())
    links = wanted.links or (QUICK_LINKS if wanted.quick else ",".join(name for name, *_ in FULL))
    names = [word for word in wanted.contestants.split(";") if word]
    return Wish(
        courses=[_course(name, wanted) for name in links.split(",")],
        jobs=_jobs(wanted.jobs.split(",")),
        names=names or (_sample() if wanted.quick else ()),
        rounds=1 if wanted.quick else wanted.rounds,
        minutes=wanted.minutes,
        patience=wanted.patience,
        slow=wanted.slow,
    )


def _sample() -> tuple[str, ...]:
    """Give the names of those that a quick look is about."""
    newest = tools.versions("skopeo")[-1].version
    ours, theirs = f"image-tools -j 8, skopeo {newest}", f"skopeo copy .* {newest}"
    return (ours, theirs, "crane", "floor")


def _jobs(names: list[str]) -> list[str]:
    if unknown := set(names) - set(JOBS):
        raise SystemExit(f"no such job: {', '.join(unknown)}. There are: {', '.join(JOBS)}")
    return [job for job in JOBS if job in names]


def _course(name: str, wanted: argparse.Namespace) -> Course:
    found = re.fullmatch(r"loopback|(\d+)ms-(\d+)mbit", name)
    if found is None:
        raise SystemExit(f"no link: {name}. Such as: loopback, 20ms-800mbit")
    link = Link(int(found[1] or 0), int(found[2] or 0))
    usual = {known: rest for known, *rest in FULL}.get(name, [500.0, 8])
    far = link != Link()
    return Course(
        link=link,
        images=wanted.images or (QUICK_IMAGES if wanted.quick else 60),
        megabytes=wanted.megabytes or (QUICK_MEGABYTES if wanted.quick else usual[0]),
        jobs=wanted.peer_jobs or int(usual[1]),
        with_tokens={"far": far, "yes": True, "no": False}[wanted.tokens],
    )


def _terminated(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGHUP, _terminated)
    sys.exit(main(sys.argv[1:]))
