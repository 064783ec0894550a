"""Everybody in turn, in one run: rounds over links, contestants and jobs."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import Contestant, contestants
from benchmarks.lab import Lab, lab_of
from benchmarks.measure import Failed
from benchmarks.population import World, populate
from benchmarks.records import Heat, Record, Results
from benchmarks.relay import Link
from benchmarks.storage import tags_of
from tests.helpers.certificates import Certificates, issue_certificates

JOBS = ("cold", "unchanged", "one changed", "amd64+arm64")
COLD, UNCHANGED, CHANGED, SUBSET = JOBS
LATE = "left out: no time was left (--minutes)"
SLOW = "left out: one image after the other takes minutes at this distance (--slow)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A link, what is mirrored over it, and how many of it at once by the tools of others."""

    link: Link
    images: int
    megabytes: float
    jobs: int
    with_tokens: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be run: courses, jobs, patterns of contestants' names (none: all), and bounds.

    A second and a third round begin only where `minutes` are likely to be enough, and nobody after
    that time.
    """

    courses: Sequence[Course]
    jobs: Sequence[str]
    names: Sequence[str]
    rounds: int
    minutes: float
    patience: float
    slow: bool


class Race:
    """One run of the benchmarks."""

    def __init__(self, wish: Wish, results: Results) -> None:
        """Prepare to run `wish` and to note everything in `results`."""
        self._wish, self._results = wish, results
        self._worlds: dict[tuple[int, float], World] = {}
        self._begun = time.monotonic()

    def run(self) -> None:
        """Run all rounds."""
        took: dict[Course, float] = {}
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-worlds-")))
            certificates = issue_certificates(folder / "certificates")
            for number in range(self._wish.rounds):
                for course in self._wish.courses:
                    begun = time.monotonic()
                    left = 60 * self._wish.minutes - (begun - self._begun)
                    if number and took[course] > left:
                        continue
                    self._round(course, number, folder, certificates)
                    took[course] = time.monotonic() - begun

    def _round(self, course: Course, number: int, folder: Path, certificates: Certificates) -> None:
        world = self._world(course, folder)
        self._results.worlds[course.link.name] = {
            "images": len(world.places),
            "manifests": len(world.manifests),
            "blobs": len(world.sizes) - len(world.manifests),
            "unique_bytes": world.unique_bytes,
            "subset_bytes": world.bytes_of(world.subset),
            "jobs": course.jobs,
            "tokens": int(course.with_tokens),
        }
        for one in self._order(course, number):
            show(f"{course.link.name}, round {number + 1}: {one.name}", end="")
            reason = one.missing or self._reason_to_leave_out(one, course)
            if reason and not (number and reason == LATE):
                for job in self._wish.jobs:
                    if job != SUBSET or one.can_subset:
                        self._results.add(Heat(course.link.name, job), one.name, reason)
            elif not reason:
                self._stay(one, course, world, certificates)
            show(f"  {reason}")

    def _world(self, course: Course, folder: Path) -> World:
        key = course.images, course.megabytes
        if key not in self._worlds:
            show(f"writing {course.images} images of {course.megabytes:g} MB ...")
            place = folder / f"world-{len(self._worlds)}"
            self._worlds[key] = populate(place, course.images, course.megabytes)
        return self._worlds[key]

    def _order(self, course: Course, number: int) -> list[Contestant]:
        """Give the chosen contestants, each round beginning with another."""
        names = self._wish.names
        chosen = [
            one
            for one in contestants(course.jobs)
            if not names or any(re.search(word, one.name) for word in names)
        ]
        first = number * 5 % max(1, len(chosen))
        return chosen[first:] + chosen[:first]

    def _reason_to_leave_out(self, one: Contestant, course: Course) -> str:
        if time.monotonic() - self._begun > 60 * self._wish.minutes:
            return LATE
        return SLOW if one.is_slow and course.link != Link() and not self._wish.slow else ""

    def _stay(
        self, one: Contestant, course: Course, world: World, certificates: Certificates
    ) -> None:
        """Let a contestant do all jobs: three in one destination, the subset in another."""
        far = {"with_tokens": course.with_tokens}
        jobs = [job for job in (UNCHANGED, CHANGED) if job in self._wish.jobs]
        if jobs or COLD in self._wish.jobs:
            with lab_of(world, certificates, course.link, **far) as lab:
                try:
                    self._jobs(one, lab, [Heat(course.link.name, job) for job in (COLD, *jobs)])
                finally:
                    world.change(back=True)
        if one.can_subset and SUBSET in self._wish.jobs:
            with lab_of(world, certificates, course.link, **far) as lab:
                self._job(one, lab, Heat(course.link.name, SUBSET))

    def _jobs(self, one: Contestant, lab: Lab, heats: Sequence[Heat]) -> None:
        """Do one job after the other; what builds on a failed one is not tried."""
        for number, heat in enumerate(heats):
            if not self._job(one, lab, heat):
                for later in heats[number + 1 :]:
                    self._results.add(later, one.name, f"not tried, since {heat.job} failed")
                return

    def _job(self, one: Contestant, lab: Lab, heat: Heat) -> bool:
        """Do one job, note what it took or why it failed, and tell whether it went well."""
        if heat.job == CHANGED:
            lab.world.change()
        before = set(tags_of(lab.destination.storage))
        command = one.command(lab, subset=heat.job == SUBSET)
        found: Record | str
        try:
            found = lab.measure(command, self._wish.patience)
            after = set(tags_of(lab.destination.storage))
            if (len(after - before) == 1) != (heat.job == CHANGED) and heat.job in JOBS[1:3]:
                raise Failed(f"{len(after - before)} tags were moved")
        except Failed as error:
            found = str(error)
        if heat.job in self._wish.jobs:
            self._results.add(heat, one.name, found)
            show(f"  {found.seconds:.2f}" if isinstance(found, Record) else f"  {found}", end="")
        return isinstance(found, Record)


def show(text: str, end: str = "\n") -> None:
    """Tell whoever waits how far it is."""
    print(text, end=end, file=sys.stderr, flush=True)
