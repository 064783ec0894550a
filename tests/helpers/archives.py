"""Run the commands over archives as their users do."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.running import Ran, image_tools

FORMS = {"dir": "images", "gzip": "images.tar.gz", "zstd": "images.tar.zst", "none": "images.tar"}


def run(command: str, folder: Path, *words: str | Path, **environ: str) -> Ran:
    """Run a command over archives; its failed list and the state of a load lie in `folder`."""
    fixed: list[str | Path] = ["--format", "json", "-o", folder / f"{command}-failed.txt"]
    if command == "load":
        fixed += ["--state", folder / "state.db"]
    return image_tools(command, *fixed, "--retry-delay", "10ms", *words, environ=environ)


def write_list(folder: Path, registry: str, *names: str) -> Path:
    """Write a list of `registry/name:1.0` lines."""
    path = folder / "list.txt"
    path.write_text("".join(f"{registry}/{name}:1.0\n" for name in names))
    return path
