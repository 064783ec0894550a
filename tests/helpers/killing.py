"""A list of images, a command that works through it, and who is killed meanwhile."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from tests.helpers.archives import FORMS
from tests.helpers.client import manifest
from tests.helpers.content import Image
from tests.helpers.fault_types import Stage
from tests.helpers.faults import FaultRegistry
from tests.helpers.images import docker_list
from tests.helpers.registry import Registry
from tests.helpers.running import image_tools
from tests.helpers.started import started
from tests.helpers.walk import pull_everything

IMAGES, JOBS = 6, 2
SECONDS = 60.0
# "How many blobs of one source may be on their way": Options.flights.
FLIGHTS = 4 * JOBS + 4
ENDED = "image-tools-"


@dataclass(slots=True)
class Work:
    """One command over one list; `round` numbers the destinations, each empty at first."""

    command: str
    form: str
    source: FaultRegistry
    destination: Registry
    folder: Path
    chance: random.Random
    disk: Path | None = None
    round: int = 0
    kills: int = 0
    images: dict[str, Image] = field(default_factory=dict)

    def fill(self) -> None:
        """Fill the source, and the archive that `load` reads."""
        self.images = {f"team/app{at}": docker_list(at) for at in range(IMAGES)}
        for name, image in self.images.items():
            self.source.load(name, "1.0", image)
        lines = [f"{self.source.address}/{name}:1.0\n" for name in self.images]
        (self.folder / "list.txt").write_text("".join(lines))
        if self.command == "load":
            ran = image_tools(
                "save", "-f", self.folder / "list.txt", "-d", self.archive, *self.shape
            )
            assert ran.code == 0, ran.stderr

    @property
    def archive(self) -> Path:
        """Give where the archive of this round lies; `load` always reads the first."""
        number = 0 if self.command == "load" else self.round
        return (self.disk or self.folder) / f"{number}-{FORMS[self.form]}"

    @property
    def shape(self) -> tuple[str, ...]:
        """Give the option for a folder."""
        return ("--compress=dir",) if self.form == "dir" else ()

    @property
    def project(self) -> str:
        """Give the destination of this round."""
        return f"{self.destination.address}/round{self.round}"

    @property
    def failed_list(self) -> Path:
        """Give where the failed list is written."""
        return self.folder / "failed.txt"

    def words(self) -> list[str]:
        """Give the command line of this round."""
        fixed = ["-j", str(JOBS), "-o", str(self.failed_list), "-q", "--retry-delay", "50ms"]
        state = ["--state", str(self.folder / "state.db")]
        listed = ["-f", str(self.folder / "list.txt")]
        if self.command == "save":
            return ["save", *listed, "-d", str(self.archive), *self.shape, *fixed]
        if self.command == "load":
            return ["load", "-s", str(self.archive), "-d", self.project, *fixed, *state]
        return ["mirror", *listed, "-d", self.project, *fixed, *state]

    def started(self) -> AbstractContextManager[subprocess.Popen[str]]:
        """Run it in a process of its own."""
        return started(self.folder, *self.words(), stdout=subprocess.DEVNULL)

    def progress(self) -> int:
        """Give how many requests were seen: a measure of time that load does not stretch."""
        log = self.destination.folder / "access.log"
        return len(self.source.requests) + log.read_bytes().count(b"\n")

    def kill_once(self) -> bool:
        """Run until a random moment and kill the program; False when it had ended before."""
        moment = self.progress() + self.chance.randint(1, 40)
        with self.started() as process:
            deadline = time.monotonic() + SECONDS
            while process.poll() is None and self.progress() < moment:
                assert time.monotonic() < deadline
                time.sleep(0.002)
            if process.poll() is not None:
                assert process.returncode == 0
                return False
            process.kill()
        self.kills += 1
        return True

    def run(self) -> tuple[int, str]:
        """Give the exit code of a run that nobody disturbs, and what it said."""
        with self.started() as process:
            _, said = process.communicate(timeout=SECONDS)
            return process.returncode, said

    def finish(self) -> None:
        """Run to the end; nothing of what was killed is left then."""
        code, said = self.run()
        assert code == 0, said
        left = [path.name for path in (self.folder / "tmp").iterdir()]
        assert left == [], left
        assert not self.failed_list.exists()

    def next_round(self) -> None:
        """Begin anew, at an empty destination."""
        self.source.clear_log()
        self.round, self.kills = self.round + 1, 0

    def check_files(self) -> None:
        """What a killed run leaves is readable, and holds only lines of the list."""
        known = (self.folder / "list.txt").read_text().splitlines()
        if self.failed_list.exists():
            lines = self.failed_list.read_text().splitlines()
            assert {line for line in lines if not line.startswith("#")} <= set(known)
        state = self.folder / "state.db"
        if state.exists():
            with contextlib.closing(sqlite3.connect(state)) as base:
                assert base.execute("pragma integrity_check").fetchall() == [("ok",)]

    def check_nothing_half(self) -> None:
        """No image shows that is not whole, and no archive that is not."""
        if self.command == "save":
            ran = image_tools("archive", "ls", self.archive)
            assert ran.code != 0 or not ran.stdout.strip() or self.is_right()
            return
        for name in self.images:
            if manifest(self.destination, f"round{self.round}/{name}", "1.0") is not None:
                self._check_image(name)

    def is_right(self) -> bool:
        """Tell whether all images are where they belong, whole."""
        if self.command == "save":
            verified = image_tools("archive", "verify", self.archive)
            words = ("-f", self.folder / "list.txt", "-d", self.archive)
            return verified.code == 0 and image_tools("save-validate", *words).code == 0
        for name in self.images:
            self._check_image(name)
        return True

    def _check_image(self, name: str) -> None:
        found = pull_everything(self.destination, f"round{self.round}/{name}", "1.0")
        wanted = {e.digest for e in self.images[name].entries}
        assert {entry.digest for entry in found.entries} <= wanted
        assert found.entries

    def fetched_twice(self) -> int:
        """Give how many blobs were read from the source more than once in this round."""
        stages = (Stage.BLOB, Stage.CONFIG)
        seen = Counter(s.reference for s in list(self.source.requests) if s.stage in stages)
        return sum(count - 1 for count in seen.values())


def children(pid: int, name: str) -> list[int]:
    """Give the processes that `pid` has started from a program called `name`."""
    found = []
    # Not with glob: it stumbles over a process that ends while it looks.
    for path in (one / "stat" for one in Path("/proc").iterdir() if one.name.isdigit()):
        with contextlib.suppress(OSError):
            parent = path.read_text().rpartition(")")[2].split()[1]
            # Not the name of the process: a newer skopeo is started by a loader of its own.
            if int(parent) == pid and f"/{name}\0" in path.with_name("cmdline").read_text():
                found.append(int(path.parent.name))
    return found


def kill_child(pid: int, name: str, *, after: int) -> bool:
    """Kill the `after`th child called `name` that shows; False when `pid` ended before."""
    seen: set[int] = set()
    while Path(f"/proc/{pid}/exe").exists() and not _is_dead(pid):
        for child in children(pid, name):
            seen.add(child)
            if len(seen) > after:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                return True
        time.sleep(0.001)
    return False


def _is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True
