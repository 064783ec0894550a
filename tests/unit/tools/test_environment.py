from __future__ import annotations

import os
from pathlib import Path

import pytest

from image_tools.tools.environment import (
    child_environment,
    direct_environment,
    prepare_folders,
)

RUN = Path("/run/me")
PRIVATE = {
    "HOME": "/run/me/home",
    "TMPDIR": "/run/me/tmp",
    "XDG_CONFIG_HOME": "/run/me/home/config",
    "XDG_DATA_HOME": "/dev/null/none",
    "XDG_RUNTIME_DIR": "/run/me/home/runtime",
    "DOCKER_CONFIG": "/run/me/docker",
    "BUILDX_CONFIG": "/run/me/buildx",
    "LANG": "C.UTF-8",
    "GOMAXPROCS": "1",
    "GOGC": "400",
}
USERS = {
    "PATH": "/opt/bin:/usr/bin",
    "HOME": "/home/me",
    "DOCKER_CONFIG": "/home/me/docker",
    "DOCKER_PASSWORD": "secret",
    "SOURCE_PASSWORD": "secret",
    "REGISTRY_AUTH_FILE": "/home/me/auth.json",
    "HTTPS_PROXY": "http://proxy:3128",
    "no_proxy": "",
    "SSL_CERT_FILE": "/ca.pem",
    "XDG_RUNTIME_DIR": "/run/user/1",
    "XDG_DATA_HOME": "/home/me/data",
    "GOGC": "off",
}


@pytest.fixture(autouse=True)
def ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


@pytest.mark.parametrize(
    ("base", "path"),
    [(USERS, "/opt/bin:/usr/bin"), ({}, "/usr/local/bin:/usr/bin:/bin")],
)
def test_child_environment_users_settings_do_not_pass(base, path):
    assert child_environment(RUN, base) == {"PATH": path, **PRIVATE}


def test_direct_environment_network_and_home_of_the_user_pass():
    own = {name: value for name, value in PRIVATE.items() if name != "XDG_CONFIG_HOME"}

    assert direct_environment(RUN, USERS) == {
        **own,
        "PATH": "/opt/bin:/usr/bin",
        "HOME": "/home/me",
        "HTTPS_PROXY": "http://proxy:3128",
        "SSL_CERT_FILE": "/ca.pem",
        "XDG_RUNTIME_DIR": "/run/user/1",
    }


@pytest.mark.parametrize("environment", [child_environment, direct_environment])
def test_environment_of_root_keeps_the_blob_cache_in_the_run(environment, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert environment(RUN, {})["_CONTAINERS_ROOTLESS_UID"] == "65534"
    assert environment(RUN, USERS)["XDG_DATA_HOME"] == "/dev/null/none"


def test_prepare_folders_twice_makes_folders_for_the_owner_alone(tmp_path):
    prepare_folders(tmp_path)
    prepare_folders(tmp_path)

    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("home", "tmp", "docker", "buildx"), 0o700)
