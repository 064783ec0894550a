"""Runs beside each other: overlapping lists on one destination, and one state file for all."""

from __future__ import annotations

import subprocess
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from tests.helpers import images
from tests.helpers.client import push
from tests.helpers.fault_types import ALWAYS, Fault, Kind, Stage
from tests.helpers.faults import FaultRegistry
from tests.helpers.registry import Registry
from tests.helpers.started import started
from tests.helpers.walk import pull_everything

RUNS, IMAGES, EACH = 10, 6, 3
SECONDS = 100


def _mirroring(
    folder: Path, number: int, lines: list[str], *words: str | Path
) -> AbstractContextManager[subprocess.Popen[str]]:
    """Start a run with a list of its own."""
    listed = folder / f"list{number}.txt"
    listed.write_text("\n".join(lines))
    own = ("-f", listed, "-o", folder / f"failed{number}.txt", "-q", "-j", "2")
    return started(folder, "mirror", *own, *words)


def test_ten_runs_at_once_with_overlapping_lists_are_all_right(
    source_registry: Registry, registry: Registry, tmp_path: Path
) -> None:
    made = {f"team/app{n}": images.shared_base(n, sizes=(90_000, 30_000)) for n in range(IMAGES)}
    for name, image in made.items():
        push(source_registry.endpoint, name, "1.0", image)
    lines = [f"{source_registry.address}/{name}:1.0" for name in made]
    with ExitStack() as stack:
        runs = []
        for number in range(RUNS):
            mine = [lines[(number + at) % IMAGES] for at in range(EACH)]
            state = ("--state", tmp_path / f"state{number}.db")
            words = (tmp_path, number, mine, "-d", registry.address, "-a", "all", *state)
            runs.append(stack.enter_context(_mirroring(*words)))
        said = [run.communicate(timeout=SECONDS) for run in runs]
    assert [run.returncode for run in runs] == [0] * RUNS, said
    for name, image in made.items():
        assert pull_everything(registry.endpoint, name, "1.0").digest == image.top.digest
    assert not [*tmp_path.glob("failed*")]
    assert not [*(tmp_path / "tmp").iterdir()]


def test_runs_with_one_state_file_come_one_after_the_other_even_after_a_kill(
    fault_registry: FaultRegistry, registry: Registry, tmp_path: Path
) -> None:
    fault_registry.load("team/app", "1.0", images.docker_list(1))
    lines = [f"{fault_registry.address}/team/app:1.0"]
    fault_registry.add(Fault(Stage.BLOB, Kind.HANG, ALWAYS))
    words = ("-d", registry.address, "--state", tmp_path / "state.db")
    with ExitStack() as stack:
        first = stack.enter_context(_mirroring(tmp_path, 0, lines, *words))
        deadline = time.monotonic() + SECONDS
        while not fault_registry.count(Stage.BLOB):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        others = [
            stack.enter_context(_mirroring(tmp_path, n, lines, *words, "--wait-lock=90s"))
            for n in (1, 2)
        ]
        with _mirroring(tmp_path, 3, lines, *words) as refused:
            assert refused.wait(timeout=SECONDS) == 4
        fault_registry.clear_faults()
        first.kill()
        said = [run.communicate(timeout=SECONDS) for run in others]
    assert [run.returncode for run in others] == [0, 0], said
    assert pull_everything(registry.endpoint, "team/app", "1.0").entries
