"""Save one list into an archive and load it again, in several ways, and print what each took.

Run from the root: `.venv/bin/python -m benchmarks.archive [--megabytes 1000] [--skopeo PATH]`.
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
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.child import ROOT
from benchmarks.population import World, populate
from tests.helpers import tools
from tests.helpers.registry import Registry, plain_registry, start_registry
from tests.helpers.registry_options import RegistryOptions

REFERENCE = "skopeo oci: + tar"
ALL = ("--arch", "all", "--os", "all", "-q")
_SAMPLE_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A full registry, an empty one, a folder on the disk that is measured, and the tools."""

    world: World
    source: Registry
    destination: Registry
    home: Path
    skopeo: Path
    jobs: int

    def run(self, *argv: str | Path, given: str = "") -> None:
        """Run a command in the folder to its good end."""
        done = subprocess.run(
            [str(word) for word in argv],
            input=given,
            text=True,
            capture_output=True,
            cwd=self.home,
            env=self._environment,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{argv}:\n{done.stderr[-2000:]}")

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "IMAGE_TOOLS_SKOPEO": str(self.skopeo),
            "IMAGE_TOOLS_BUILDX": str(tools.newest("buildx")),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One command of one way: seconds, CPU seconds, most bytes on the disk beyond those before."""

    seconds: float
    cpu: float
    disk: int


Step = Callable[[Lab], None]


@dataclass(slots=True)
class Contestant:
    """One way to save, and to load what was saved."""

    name: str
    save: Step
    load: Step
    runs: dict[str, list[Measure]] = field(default_factory=dict)


def ours(archive: str) -> Contestant:
    """Give the way of image-tools, into an archive of this name."""
    program = (sys.executable, "-m", "image_tools")

    def save(lab: Lab) -> None:
        lines = "".join(f"{line}\n" for line in lab.world.lines(lab.source.address))
        form = () if "." in archive else ("--compress", "dir")
        words = ("save", "-f", "-", "-d", archive, "-j", str(lab.jobs), *form, *ALL)
        lab.run(*program, *words, given=lines)

    def load(lab: Lab) -> None:
        words = ("load", "-s", archive, "-d", lab.destination.address, "-j", str(lab.jobs), "-q")
        lab.run(*program, *words, "--no-state")

    return Contestant(f"image-tools, {archive}", save, load)


def skopeo_and_tar() -> Contestant:
    """Give the way of one `skopeo copy --all` after the other, and of tar."""

    def copy(lab: Lab, *ends: str) -> None:
        tls = ("--src-tls-verify=false", "--dest-tls-verify=false")
        # Without --preserve-digests: an `oci:` folder cannot hold Docker's lists as they are.
        fixed = ("--insecure-policy", "copy", "-q", "--all")
        lab.run(lab.skopeo, *fixed, *(flag for flag in tls if _fits(flag, ends)), *ends)

    def save(lab: Lab) -> None:
        for line in lab.world.lines(""):
            copy(lab, f"docker://{lab.source.address}{line}", f"oci:layout:{line[1:]}")
        lab.run("tar", "-cf", "layout.tar", "layout")
        lab.run("rm", "-r", "layout")

    def load(lab: Lab) -> None:
        lab.run("tar", "-xf", "layout.tar")
        for line in lab.world.lines(""):
            copy(lab, f"oci:layout:{line[1:]}", f"docker://{lab.destination.address}{line}")
        lab.run("rm", "-r", "layout")

    return Contestant(REFERENCE, save, load)


def _fits(flag: str, ends: tuple[str, ...]) -> bool:
    return ends[0 if flag.startswith("--src") else 1].startswith("docker:")


def measure(step: Step, lab: Lab) -> Measure:
    """Run one command; the registries' own time and disk are not counted."""
    peaks, stopped, before = [0], threading.Event(), _used(lab.home)

    def watch() -> None:
        while not stopped.wait(_SAMPLE_SECONDS):
            peaks.append(_used(lab.home) - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    cpu, begun = _cpu(), time.monotonic()
    try:
        step(lab)
        seconds = time.monotonic() - begun
    finally:
        stopped.set()
        watcher.join()
    return Measure(seconds=seconds, cpu=_cpu() - cpu, disk=max(*peaks, _used(lab.home) - before))


def _used(folder: Path) -> int:
    """Give the bytes that are really taken below a folder."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512  # noqa: PTH118
            except OSError:
                continue
    return total


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def lab_of(source: Registry, world: World, wanted: argparse.Namespace) -> Iterator[Lab]:
    """Give an empty destination and an empty folder."""
    with (
        plain_registry() as destination,
        tempfile.TemporaryDirectory(prefix="bench-", dir=wanted.folder) as home,
    ):
        yield Lab(
            world=world,
            source=source,
            destination=destination,
            home=Path(home),
            skopeo=wanted.skopeo,
            jobs=wanted.jobs,
        )


def measured(wanted: argparse.Namespace) -> tuple[World, list[Contestant]]:
    """Give all ways with their runs; rounds are interleaved."""
    ways = [skopeo_and_tar(), *(ours(name) for name in ("x.tar.gz", "x.tar", "folder"))]
    with tempfile.TemporaryDirectory(prefix="bench-world-", dir=wanted.folder) as storage:
        world = populate(Path(storage), wanted.images, wanted.megabytes)
        with start_registry(RegistryOptions(storage=world.storage)) as source:
            for _ in range(wanted.rounds):
                for way in ways:
                    with lab_of(source, world, wanted) as lab:
                        for name, step in (("save", way.save), ("load", way.load)):
                            way.runs.setdefault(name, []).append(measure(step, lab))
    return world, ways


def table(ways: list[Contestant], world: World) -> Iterator[str]:
    """Give the lines of the table: medians, and ratios to the reference."""
    yield f"{'':<26}" + "".join(
        f"{cell:>9}" for cell in ("seconds", "ratio", "CPU s", "ratio", "disk MB", "ratio")
    )
    for name in ("save", "load"):
        base = ways[0].runs[name]
        for way in ways:
            cells = []
            for what, unit in (("seconds", 1.0), ("cpu", 1.0), ("disk", 1e6)):
                value, reference = _median(way.runs[name], what), _median(base, what)
                cells += [f"{value / unit:.2f}", f"{value / max(reference, 1e-9):.2f}"]
            yield f"{name + ': ' + way.name:<26}" + "".join(f"{cell:>9}" for cell in cells)
    yield f"distinct blobs: {world.blob_bytes / 1e6:.0f} MB"


def _median(runs: list[Measure], what: str) -> float:
    return float(statistics.median(getattr(run, what) for run in runs))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=40, help="how many images (40)")
    parser.add_argument("--megabytes", type=float, default=300, help="distinct MB (300)")
    parser.add_argument("--jobs", "-j", type=int, default=4, help="at once (4)")
    parser.add_argument("--rounds", type=int, default=1, help="medians of so many rounds (1)")
    parser.add_argument("--folder", help="on the disk to use (the temporary one)")
    parser.add_argument("--skopeo", type=Path, default=tools.newest("skopeo"), help="(the newest)")
    wanted = parser.parse_args()
    world, ways = measured(wanted)
    version = tools.run(wanted.skopeo, "--version").stdout.strip()
    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} CPUs, {version}")
    print(f"{wanted.images} images, {wanted.jobs} jobs, medians of {wanted.rounds}")
    print("\n".join(table(ways, world)))


if __name__ == "__main__":
    main()
