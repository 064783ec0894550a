"""Find skopeo and the buildx plugin on this machine."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from image_tools.errors import ToolMissing
from image_tools.machine.folders import data_folder, home_folder
from image_tools.machine.trusted_paths import trusted_search_path

SKOPEO_VARIABLE = "IMAGE_TOOLS_SKOPEO"
BUILDX_VARIABLE = "IMAGE_TOOLS_BUILDX"
PLUGIN = "docker-buildx"

SKOPEO_ADVICE = (
    "install it (Debian, Ubuntu, Fedora: the package skopeo; macOS: brew install skopeo), "
    f"or name the binary in {SKOPEO_VARIABLE}"
)
BUILDX_ADVICE = (
    "install it (Debian, Ubuntu: the package docker-buildx, or docker-buildx-plugin from Docker's "
    "repository; Fedora: docker-buildx; macOS: brew install docker-buildx; or the binary from "
    "https://github.com/docker/buildx/releases as ~/.docker/cli-plugins/docker-buildx), "
    f"or name the binary in {BUILDX_VARIABLE}"
)

_LINUX_PLUGIN_FOLDERS = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
_MACOS_PLUGIN_FOLDERS = (
    "/usr/local/lib/docker/cli-plugins",
    "/opt/homebrew/lib/docker/cli-plugins",
    "/Applications/Docker.app/Contents/Resources/cli-plugins",
)


def find_skopeo(environ: Mapping[str, str]) -> Path:
    """Return skopeo's absolute path: IMAGE_TOOLS_SKOPEO, else on PATH, else the downloaded one.

    Raise ToolMissing if there is none, or if the variable names no program.
    """
    chosen = _chosen(environ, SKOPEO_VARIABLE)
    if chosen is not None:
        return chosen
    for candidate in (*_on_path(environ, "skopeo"), downloaded_skopeo(environ)):
        if _is_program(candidate):
            return candidate
    raise ToolMissing("skopeo is not installed", advice=SKOPEO_ADVICE)


def find_buildx(environ: Mapping[str, str], system_folders: Iterable[str] | None = None) -> Path:
    """Return the absolute path of the buildx plugin: IMAGE_TOOLS_BUILDX, else as docker finds it.

    Docker's order (docker CLI 28): extra folders of its config.json, its own folder, those of the
    system (`system_folders`, by default those of Linux or macOS). Then the user's folder, which
    DOCKER_CONFIG may hide, and PATH. Raise ToolMissing if there is none, or if the variable names
    no program.
    """
    chosen = _chosen(environ, BUILDX_VARIABLE)
    if chosen is not None:
        return chosen
    plugins = (folder / PLUGIN for folder in _plugin_folders(environ, system_folders))
    for candidate in (*plugins, *_on_path(environ, PLUGIN)):
        if _is_program(candidate):
            return candidate
    raise ToolMissing("the buildx plugin of docker is not installed", advice=BUILDX_ADVICE)


def downloaded_skopeo(environ: Mapping[str, str]) -> Path:
    """Return where a downloaded skopeo is kept, whether there is one or not."""
    return data_folder(environ) / "bin/skopeo"


def _chosen(environ: Mapping[str, str], variable: str) -> Path | None:
    name = environ.get(variable, "")
    if not name:
        return None
    path = Path(name).expanduser().absolute()
    candidates = (path,) if os.sep in name else (*_on_path(environ, name), path)
    for candidate in candidates:
        if _is_program(candidate):
            return candidate
    raise ToolMissing(
        f"{variable} is {name!r}, which is no program",
        advice=f"give the path of an executable file, or unset {variable}",
    )


def _on_path(environ: Mapping[str, str], name: str) -> Iterator[Path]:
    for folder in filter(None, trusted_search_path(environ).split(os.pathsep)):
        yield Path(folder) / name


def _plugin_folders(
    environ: Mapping[str, str], system_folders: Iterable[str] | None
) -> Iterator[Path]:
    own = home_folder(environ) / ".docker"
    config = Path(environ["DOCKER_CONFIG"]).absolute() if environ.get("DOCKER_CONFIG") else own
    yield from _extra_folders(config / "config.json")
    yield config / "cli-plugins"
    yield own / "cli-plugins"
    if system_folders is None:
        system_folders = (
            _MACOS_PLUGIN_FOLDERS if sys.platform == "darwin" else _LINUX_PLUGIN_FOLDERS
        )
    yield from map(Path, system_folders)


def _extra_folders(config: Path) -> Iterator[Path]:
    try:
        document = json.loads(config.read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    folders = document.get("cliPluginsExtraDirs") if isinstance(document, dict) else None
    for folder in folders if isinstance(folders, list) else ():
        if isinstance(folder, str) and Path(folder).is_absolute():
            yield Path(folder)


def _is_program(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.X_OK)
    except PermissionError:  # a folder on PATH that this user may not enter
        return False
