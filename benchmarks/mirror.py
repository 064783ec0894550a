"""Mirror one list in several ways, in one run, and print what each way took.

Run from the root: `.venv/bin/python -m benchmarks.mirror [--delay 20] [--skopeo PATH]`.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.delaying_proxy import far_away
from benchmarks.world import World, fill
from tests.helpers import tools
from tests.helpers.registry import Registry, plain_registry

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = "skopeo copy --all"
AGAIN = ", unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """Both registries, their addresses as the contestants see them, and a home to work in."""

    world: World
    source: Registry
    destination: Registry
    source_address: str
    destination_address: str
    home: Path
    skopeo: Path
    jobs: int

    @property
    def environment(self) -> dict[str, str]:
        """Give an environment without anybody's settings and with a blob cache of its own."""
        return {
            "PATH": f"{self.skopeo.parent}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "XDG_DATA_HOME": str(self.home),
            "_CONTAINERS_ROOTLESS_UID": "1000",
            "PYTHONPATH": str(ROOT),
            "IMAGE_TOOLS_SKOPEO": str(self.skopeo),
            "IMAGE_TOOLS_BUILDX": str(tools.newest("buildx")),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One run of one contestant; `times_unique`: bytes of blobs read by bytes of distinct blobs."""

    seconds: float
    cpu: float
    times_unique: float
    source_requests: int
    manifest_gets: int
    destination_requests: int


Words = list[str | Path]
Argv = Callable[[Lab], tuple[Words, str]]


@dataclass(slots=True)
class Contestant:
    """One way to mirror: the command line and what it reads on standard input."""

    name: str
    argv: Argv
    runs: dict[str, list[Measure]] = field(default_factory=dict)


def image_tools(*words: str) -> Argv:
    """Give the way of `image-tools mirror` with these options besides."""

    def argv(lab: Lab) -> tuple[Words, str]:
        lines = "".join(f"{lab.source_address}/{name}:1.0\n" for name in lab.world.repositories)
        fixed: Words = ["mirror", "-f", "-", "-d", lab.destination_address, "-j", str(lab.jobs)]
        own: Words = ["--state", lab.home / "state.db", "-o", lab.home / "failed.txt", "-q"]
        return [sys.executable, "-m", "image_tools", *fixed, *own, *words], lines

    return argv


def skopeo_copy(lab: Lab) -> tuple[Words, str]:
    """Give the way of one `skopeo copy --all` per image, as many at once as there are jobs."""
    tls = ("--src-tls-verify=false", "--dest-tls-verify=false")
    copy: Words = [
        lab.skopeo,
        "--insecure-policy",
        "copy",
        "-q",
        "--all",
        "--preserve-digests",
        *tls,
    ]
    pairs = (
        f"docker://{lab.source_address}/{name}:1.0 docker://{lab.destination_address}/{name}:1.0\n"
        for name in lab.world.repositories
    )
    return ["xargs", "-P", str(lab.jobs), "-n", "2", *copy], "".join(pairs)


def skopeo_sync(lab: Lab) -> tuple[Words, str]:
    """Give the way of one `skopeo sync` over the whole list."""
    listed = "".join(f'    {name}: ["1.0"]\n' for name in lab.world.repositories)
    path = lab.home / "sync.yaml"
    path.write_text(f"{lab.source_address}:\n  tls-verify: false\n  images:\n{listed}")
    fixed: Words = ["--insecure-policy", "sync", "--all", "--dest-tls-verify=false"]
    ends: Words = ["--src", "yaml", "--dest", "docker", path, lab.destination_address]
    return [lab.skopeo, *fixed, *ends], ""


def contestants(with_sync: bool) -> list[Contestant]:
    """Give all of them, the reference first."""
    found = [
        Contestant(REFERENCE, skopeo_copy),
        Contestant("image-tools", image_tools()),
        Contestant("image-tools --no-ahead", image_tools("--no-ahead")),
    ]
    return [*found, Contestant("skopeo sync --all", skopeo_sync)] if with_sync else found


def run_once(contestant: Contestant, lab: Lab, ending: str) -> None:
    """Run a contestant to its end and note what it took."""
    argv, given = contestant.argv(lab)
    lab.source.clear_log()
    lab.destination.clear_log()
    before, begun = _cpu(), time.monotonic()
    done = subprocess.run(
        [str(word) for word in argv],
        input=given,
        text=True,
        capture_output=True,
        env=lab.environment,
        cwd=lab.home,
        check=False,
    )
    seconds, cpu = time.monotonic() - begun, _cpu() - before
    if done.returncode != 0:
        raise SystemExit(f"{contestant.name} failed:\n{done.stderr[-2000:]}")
    asked = lab.source.requests()
    blobs = [r for r in asked if r.method == "GET" and r.what == "blobs"]
    manifests = [r for r in asked if r.method == "GET" and r.what == "manifests"]
    measure = Measure(
        seconds=seconds,
        cpu=cpu,
        times_unique=sum(r.size for r in blobs) / lab.world.unique_bytes,
        source_requests=len(asked),
        manifest_gets=len(manifests),
        destination_requests=len(lab.destination.requests()),
    )
    contestant.runs.setdefault(contestant.name + ending, []).append(measure)


def _cpu() -> float:
    """Give the CPU seconds of all children that have ended: the registries are not among them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def lab_of(
    source: Registry, source_address: str, world: World, wanted: argparse.Namespace
) -> Iterator[Lab]:
    """Give an empty destination and an empty home."""
    with ExitStack() as stack:
        destination = stack.enter_context(plain_registry())
        address = stack.enter_context(far_away(destination.address, wanted.delay_destination))
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        yield Lab(
            world=world,
            source=source,
            destination=destination,
            source_address=source_address,
            destination_address=address,
            home=Path(home),
            skopeo=wanted.skopeo,
            jobs=wanted.jobs,
        )


def measured(wanted: argparse.Namespace) -> tuple[World, dict[str, list[Measure]]]:
    """Give all runs of all contestants, by name; rounds are interleaved."""
    ways = contestants(wanted.sync)
    with plain_registry() as source, far_away(source.address, wanted.delay) as address:
        world = fill(source, wanted.images)
        for _ in range(wanted.rounds):
            for way in ways:
                with lab_of(source, address, world, wanted) as lab:
                    run_once(way, lab, "")
                    run_once(way, lab, AGAIN)
    return world, {name: runs for way in ways for name, runs in way.runs.items()}


def table(found: dict[str, list[Measure]]) -> Iterator[str]:
    """Give the lines of the table: medians, and ratios to the reference, cold and unchanged."""
    head = ("", "seconds", "ratio", "CPU s", "× unique", "src req", "GETs", "dst req")
    yield _row(head)
    for name in sorted(found, key=lambda one: one.endswith(AGAIN)):
        base = found[REFERENCE + (AGAIN if name.endswith(AGAIN) else "")]
        seconds = _median(found[name], "seconds")
        cells = (
            name,
            f"{seconds:.2f}",
            f"{seconds / _median(base, 'seconds'):.2f}",
            f"{_median(found[name], 'cpu'):.2f}",
            f"{_median(found[name], 'times_unique'):.3f}",
            *(
                f"{_median(found[name], what):.0f}"
                for what in ("source_requests", "manifest_gets", "destination_requests")
            ),
        )
        yield _row(cells)


def _row(cells: Sequence[str]) -> str:
    return f"{cells[0]:<34}" + "".join(f"{cell:>10}" for cell in cells[1:])


def _median(runs: Sequence[Measure], what: str) -> float:
    return float(statistics.median(getattr(run, what) for run in runs))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=40, help="how many images (40)")
    parser.add_argument("--jobs", "-j", type=int, default=8, help="at once (8)")
    parser.add_argument("--rounds", type=int, default=1, help="medians of so many rounds (1)")
    parser.add_argument("--delay", type=int, default=0, help="round trip to the source, ms (0)")
    parser.add_argument("--delay-destination", type=int, default=0, help="to the destination (0)")
    parser.add_argument("--skopeo", type=Path, default=tools.newest("skopeo"), help="(the newest)")
    parser.add_argument("--sync", action="store_true", help="skopeo sync too (slow)")
    wanted = parser.parse_args()
    world, found = measured(wanted)
    version = tools.run(wanted.skopeo, "--version").stdout.strip()
    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} CPUs, {version}")
    print(
        f"{wanted.images} images, {world.manifests} manifests, {world.blobs} blobs, "
        f"{world.unique_bytes / 1e6:.0f} MB; {wanted.jobs} jobs; round trips "
        f"{wanted.delay} and {wanted.delay_destination} ms; medians of {wanted.rounds}"
    )
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
