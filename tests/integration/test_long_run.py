"""Two thousand images, faults all the time, restarts in between: nothing grows."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pytest

from tests.helpers import images
from tests.helpers.fault_types import Fault, Kind, Stage
from tests.helpers.faults import FaultRegistry
from tests.helpers.registry import Registry, relaunched
from tests.helpers.started import started
from tests.helpers.walk import pull_everything

COUNT, JOBS = 2000, 4
STAGES = (Stage.HEAD_MANIFEST, Stage.MANIFEST, Stage.CHILD, Stage.CONFIG, Stage.BLOB)
KINDS = (429, 500, 502, 503, 504, Kind.RESET, Kind.RESET_IN_BODY, Kind.CUT_BODY, Kind.SLOW_BODY)


@dataclass
class Watch:
    """What a process holds, looked at twice a second: descriptors, threads, MiB."""

    seen: list[tuple[int, int, float]] = field(default_factory=list)

    def look(self, pid: int) -> None:
        with suppress(OSError, ValueError, KeyError):
            status = Path(f"/proc/{pid}/status").read_text()
            values = dict(line.split(":", 1) for line in status.splitlines())
            held = len([*Path(f"/proc/{pid}/fd").iterdir()])
            size = int(values["VmRSS"].split()[0]) / 1024
            self.seen.append((held, int(values["Threads"]), size))

    def medians(self, part: slice) -> list[float]:
        return [median(column) for column in zip(*self.seen[part], strict=True)]


@contextmanager
def troubled(source: FaultRegistry, chance: random.Random) -> Iterator[None]:
    """Let something go wrong, once, five times a second."""
    ended = threading.Event()

    def trouble() -> None:
        while not ended.wait(0.2):
            source.clear_faults()
            source.add(Fault(chance.choice(STAGES), chance.choice(KINDS), pause=0.01))
            source.clear_log()

    thread = threading.Thread(target=trouble)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def run(folder: Path, registry: Registry, watch: Watch, *, stop_after: float | None) -> int:
    """Give the exit code of a run; it is killed `stop_after` seconds."""
    words = ("-f", folder / "list.txt", "-d", registry.address, "-j", JOBS, "-q")
    own = ("-o", folder / "failed.txt", "--state", folder / "state.db", "--retry-delay", "20ms")
    nothing = subprocess.DEVNULL
    with started(folder, "mirror", *words, *own, stdout=nothing, stderr=nothing) as process:
        begun = time.monotonic()
        while process.poll() is None:
            watch.look(process.pid)
            time.sleep(0.5)
            if stop_after is not None and time.monotonic() - begun > stop_after:
                process.kill()
        return process.returncode


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_long_run_with_faults_and_restarts_holds_no_more_at_its_end(
    registry: Registry, tmp_path: Path
) -> None:
    with FaultRegistry() as source:
        names = [f"team{at % 40}/app{at}" for at in range(COUNT)]
        for at, name in enumerate(names):
            source.load(name, "1.0", images.oci_manifest(at))
        lines = "".join(f"{source.address}/{name}:1.0\n" for name in names)
        (tmp_path / "list.txt").write_text(lines)
        with troubled(source, random.Random(1)):
            killed = run(tmp_path, registry, Watch(), stop_after=20)
            with relaunched(registry, registry.pid, after=0.2):
                watch = Watch()
                code = run(tmp_path, registry, watch, stop_after=None)
                assert (killed, code) in [(-9, 0), (-9, 1)]
                for _ in range(5):
                    code = code and run(tmp_path, registry, Watch(), stop_after=None)
                assert code == 0
                for name in names:
                    assert pull_everything(registry.endpoint, name, "1.0").entries
    quarter = len(watch.seen) // 4
    early, late = watch.medians(slice(quarter, 2 * quarter)), watch.medians(slice(-quarter, None))
    print("descriptors, threads, MiB:", early, late)  # noqa: T201 - pytest -s shows the figures
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == []
    assert late[0] <= early[0] + 10
    # A tool that runs has four threads, and how many run at once is up to the faults.
    assert late[1] <= 8 + 4 * JOBS
    assert late[2] <= early[2] * 1.2
