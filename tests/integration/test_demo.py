"""The demonstration, as somebody sees it who has just cloned the repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.children import is_gone
from tests.helpers.registry import free_port

ROOT = Path(__file__).resolve().parent.parent.parent


def demo(cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts/demo"],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_demo_run_twice_copies_then_finds_everything_unchanged(tmp_path: Path) -> None:
    first, second = demo(tmp_path), demo(tmp_path)

    assert (first.returncode, first.stderr) == (0, "")
    assert "10 images: 10 copied" in first.stdout
    assert "10 images: 10 unchanged" in first.stdout
    assert (second.returncode, second.stderr) == (0, "")
    assert "10 images: 10 unchanged" in second.stdout
    assert "copied" not in second.stdout
    assert "every digest is right" in second.stdout
    assert list((tmp_path / "image-tools/registries").iterdir()) == []


def test_registry_script_without_ps_on_the_machine_stops_what_it_started(
    tmp_path: Path, docker_registry: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/docker-registry").symlink_to(docker_registry)
    environ = {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path)}
    port = str(free_port())
    home = tmp_path / "image-tools/registries" / port

    def ask(verb: str) -> str:
        words = [sys.executable, ROOT / "scripts/registry", verb, "--port", port]
        return subprocess.run(words, env=environ, capture_output=True, text=True, check=True).stdout

    ask("start")
    pid = int((home / "pid").read_text())

    assert ask("stop") == f"stopped 127.0.0.1:{port}\n"
    assert is_gone(pid)
    assert not home.exists()
