"""The demonstration, as somebody sees it who has just cloned the repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

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
