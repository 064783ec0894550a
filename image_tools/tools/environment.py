"""What the tools' processes get to see: a small environment, a login file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from image_tools.machine.trusted_paths import trusted_search_path

# The tools are CPU-bound at start: one thread and a lazy collector halve it (facts measured on
# skopeo 1.9.3 and buildx 0.29.1).
_GO_SETTINGS = {"GOMAXPROCS": "1", "GOGC": "400"}
_NOBODY = "65534"
# skopeo's cache of where it saw a blob: with no place to write it, each process has its own in
# memory. A shared one makes them ask for blobs at the addresses of other sessions.
_NOWHERE = Path("/dev/null/none")
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
_DIRECT_NAMES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
)


def child_environment(workspace: Path, base: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a tool that talks to the exchange alone.

    Every folder a tool may read or write lies in `workspace`, a private folder of this run: no
    login, setting, trust or cache of the user's reaches the tool, and no secret in `base` either.
    """
    private = {
        "HOME": workspace / "home",
        "TMPDIR": workspace / "tmp",
        "XDG_CONFIG_HOME": workspace / "home/config",
        "XDG_DATA_HOME": _NOWHERE,
        "XDG_RUNTIME_DIR": workspace / "home/runtime",
        "DOCKER_CONFIG": workspace / "docker",
        "BUILDX_CONFIG": workspace / "buildx",
    }
    return {
        "PATH": trusted_search_path({"PATH": _DEFAULT_PATH, **base}),
        "LANG": "C.UTF-8",
        **_GO_SETTINGS,
        **{name: str(folder) for name, folder in private.items()},
        **_own_blob_cache(),
    }


def direct_environment(workspace: Path, base: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a skopeo that reads a source by itself.

    It keeps the user's proxies, trust store and home, where keys of a signature policy may lie;
    there is no blob cache either, for the other end is still the exchange.
    """
    kept = {name: base[name] for name in _DIRECT_NAMES if base.get(name)}
    own = child_environment(workspace, base)
    for name in ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        del own[name]
    return {**own, **kept}


def version_environment(base: Mapping[str, str]) -> dict[str, str]:
    """The environment of a tool that only tells its version: nothing of the user's."""
    return {"PATH": trusted_search_path(base), "HOME": os.devnull, "LANG": "C.UTF-8"}


def prepare_folders(workspace: Path) -> None:
    """Nothing; makes the folders that `child_environment` names, for the owner alone."""
    for name in ("home", "tmp", "docker", "buildx"):
        (workspace / name).mkdir(mode=0o700, parents=True, exist_ok=True)


def _own_blob_cache() -> dict[str, str]:
    """Root's skopeo would ignore XDG_DATA_HOME and keep its cache below /var/lib/containers."""
    return {"_CONTAINERS_ROOTLESS_UID": _NOBODY} if os.geteuid() == 0 else {}
