"""The benchmarks with the real tools: what they mirror, and a whole run."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from benchmarks.measure import tree
from benchmarks.population import populate
from tests.helpers import tools
from tests.helpers.documents import ROOT
from tests.helpers.registry import start_registry
from tests.helpers.registry_options import RegistryOptions


def test_population_in_a_registry_is_what_it_says(tmp_path: Path, skopeo: Path) -> None:
    world = populate(tmp_path / "storage", 10, 0.1)

    with start_registry(RegistryOptions(storage=world.storage)) as registry:
        lines = world.lines(registry.address)
        found = [copied(skopeo, line, tmp_path / str(at)) for at, line in enumerate(lines)]
        world.change()
        place = world.changed
        line = f"{registry.address}/{place.repository}:{place.tag}"
        changed = copied(skopeo, line, tmp_path / "changed")

    assert found == [place.digest for place in world.places]
    assert changed == world.changed.digest
    assert changed not in found
    assert world.bytes_of(world.subset) < world.unique_bytes


def copied(skopeo: Path, line: str, folder: Path) -> str:
    """Copy an image and all it leads to; give the digest of what the tag holds."""
    fixed = (skopeo, "--insecure-policy", "copy", "-q", "--all", "--src-tls-verify=false")
    tools.run(*fixed, f"docker://{line}", f"dir:{folder}")
    return f"sha256:{hashlib.sha256((folder / 'manifest.json').read_bytes()).hexdigest()}"


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    cache = str(tools.VERSIONS_FILE.parents[2])  # where scripts/setup put the other tools
    return subprocess.Popen(
        [ROOT / "benchmarks/run", "--quick", *words],
        env={**os.environ, "TMPDIR": str(folder), "XDG_CACHE_HOME": cache},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_run_quick_compares_everybody_and_leaves_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    (tmp_path / "tmp").mkdir()

    process = start(tmp_path / "tmp", "--record", str(kept))
    said, progress = process.communicate()
    again = start(tmp_path / "tmp", "--from", str(kept)).communicate()[0]

    assert process.returncode == 0, progress
    for name in ("image-tools -j 8", "skopeo copy", "crane", "floor"):
        assert said.count(f"| {name}") + said.count(f"| **{name}") >= 12
    assert "unchanged, requests per image without the greeting | 2 | 2 |" in said
    assert again.splitlines()[4:] == said.splitlines()[4:]
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_interrupted_leaves_no_process_and_no_folder(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = start(tmp_path, "--links", "20ms-800mbit", "--contestants", "image-tools -j 8")
    assert process.stderr is not None
    seen = ""
    while "round 1: image-tools" not in seen:
        seen += process.stderr.read(1)

    below = [Path(f"/proc/{pid}") for pid in tree(process.pid)]
    process.send_signal(number)
    process.communicate()

    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
    assert [one for one in below if one.exists()] == []
