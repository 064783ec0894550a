"""The environment variables of the tools' processes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from image_tools.machine.trusted_paths import trusted_search_path

# The tools are CPU-bound at start: one thread and a lazy collector halve it (facts measured on
# skopeo 1.9.3 and buildx 0.29.1).
_GO_SETTINGS = {"GOMAXPROCS": "1", "GOGC": "400"}
_NOBODY = "65534"
# skopeo remembers in which repositories it saw a blob. A shared cache would make it ask for blobs
# at the addresses of other sessions; without a place for the file, it is kept in memory.
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
    """Return the whole environment of a tool that talks only to the exchange.

    Every folder a tool may read or write lies in `workspace`, a private folder of this run. No
    login, setting, trust or cache of the user reaches the tool, and no secret in `base`.
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
    """Return the whole environment of a skopeo that reads a source by itself.

    It keeps the user's proxies, trust store and home, where keys of a signature policy may lie.
    There is no blob cache here either, because the destination is still the exchange.
    """
    kept = {name: base[name] for name in _DIRECT_NAMES if base.get(name)}
    own = child_environment(workspace, base)
    for name in ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        del own[name]
    return {**own, **kept}


def version_environment(base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a tool that only prints its version."""
    return {"PATH": trusted_search_path(base), "HOME": os.devnull, "LANG": "C.UTF-8"}


def prepare_folders(workspace: Path) -> None:
    """Make the folders that `child_environment` names, for the owner alone."""
    for name in ("home", "tmp", "docker", "buildx"):
        (workspace / name).mkdir(mode=0o700, parents=True, exist_ok=True)


def _own_blob_cache() -> dict[str, str]:
    # Root's skopeo would ignore XDG_DATA_HOME and keep its cache below /var/lib/containers.
    return {"_CONTAINERS_ROOTLESS_UID": _NOBODY} if os.geteuid() == 0 else {}
