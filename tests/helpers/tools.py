"""Where the real tools of this machine are, in all versions it has."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Read once, before any test gets a home of its own.
_HOME = Path.home()
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or _HOME / ".cache")
VERSIONS_FILE = _CACHE / "image-tools" / "tools" / "versions.tsv"
PLUGIN_FOLDERS = (
    _HOME / ".docker/cli-plugins",
    Path("/usr/local/lib/docker/cli-plugins"),
    Path("/usr/local/libexec/docker/cli-plugins"),
    Path("/usr/lib/docker/cli-plugins"),
    Path("/usr/libexec/docker/cli-plugins"),
)
TOOL_SECONDS = 60
# scripts/compatibility tries one version at a time: LAB_SKOPEO=1.22.0, LAB_BUILDX=0.13.1.
_CHOSEN = {name: os.environ.get(f"LAB_{name.upper()}") for name in ("skopeo", "buildx")}


class ToolNotFound(LookupError):
    """A tool the integration tests need is not on this machine."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One installed version; ``version`` is ``unknown`` where nobody wrote it down."""

    name: str
    version: str
    path: Path

    @property
    def order(self) -> tuple[int, ...]:
        """Give the version as numbers, to sort by."""
        return tuple(int(part) for part in self.version.split(".") if part.isdigit())


def versions(name: str) -> tuple[Tool, ...]:
    """Give every version of a tool, oldest first, one path each.

    From the tab-separated lines (name, version, path) of `VERSIONS_FILE`, else the one installed.
    ToolNotFound when there is none. Only the chosen one where one was chosen.
    """
    found = every(name)
    if chosen := _CHOSEN.get(name):
        return tuple(tool for tool in found if tool.version == chosen)
    return found


def every(name: str) -> tuple[Tool, ...]:
    """Give every version of a tool, whatever was chosen: for what an old one cannot do."""
    listed = {tool.version: tool for tool in _listed() if tool.name == name}
    found = tuple(sorted(listed.values(), key=lambda tool: tool.order)) or _installed(name)
    if not found:
        raise ToolNotFound(f"{name} is not installed: run scripts/setup")
    return found


def path_with_chosen(path: str) -> str:
    """Give the search path with the folder of the chosen skopeo in front, where one was chosen."""
    return f"{newest('skopeo').parent}:{path}" if _CHOSEN["skopeo"] else path


def newest(name: str) -> Path:
    """Give the path of a tool's newest version."""
    return versions(name)[-1].path


def oldest(name: str) -> Path:
    """Give the path of a tool's oldest version."""
    return versions(name)[0].path


def program(name: str) -> Path:
    """Return the path of a program that scripts/setup installs; ToolNotFound without it."""
    found = shutil.which(name)
    if found is None:
        raise ToolNotFound(f"{name} is not installed: run scripts/setup")
    return Path(found)


def run(
    *argv: str | Path,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end; AssertionError with its own words when it fails."""
    done = subprocess.run(
        [str(word) for word in argv],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TOOL_SECONDS,
        env={**os.environ, **(environment or {})},
        check=False,
    )
    assert not check or done.returncode == 0, f"{argv}: {done.returncode}\n{done.stderr}"
    return done


def _listed() -> tuple[Tool, ...]:
    if not VERSIONS_FILE.is_file():
        return ()
    lines = (line.split("\t") for line in VERSIONS_FILE.read_text().splitlines())
    tools = (Tool(name, version, Path(path)) for name, version, path in lines)
    return tuple(tool for tool in tools if tool.path.is_file())


def _installed(name: str) -> tuple[Tool, ...]:
    if name == "buildx":
        places = [folder / "docker-buildx" for folder in PLUGIN_FOLDERS]
        paths = [path for path in places if path.is_file()]
    else:
        found = shutil.which(name)
        paths = [Path(found)] if found else []
    return tuple(Tool(name, "unknown", path) for path in paths[:1])
