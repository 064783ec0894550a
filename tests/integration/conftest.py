"""Fixtures of the integration tier: real tools, real registries, an environment of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from image_tools.run.tools import toolbox
from image_tools.tools.versions import Version, probe
from tests.helpers.certificates import Certificates, issue_certificates
from tests.helpers.client import push
from tests.helpers.documents import ROOT
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.example_lab import (
    COMPANY_NAMES,
    ETCD,
    NGINX,
    WORLD_NAMES,
    WRITER,
    ExampleLab,
)
from tests.helpers.faults import FaultRegistry
from tests.helpers.registry import Registry, plain_registry, start_registry
from tests.helpers.registry_options import RegistryOptions
from tests.helpers.token_server import TokenServer
from tests.helpers.tools import Tool, ToolNotFound, newest, path_with_chosen, versions

DROPPED = (
    "REGISTRY_AUTH_FILE",
    "DOCKER_CONFIG",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "BUILDX_CONFIG",
    "BUILDX_BUILDER",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SOURCE_REGISTRY",
    "SOURCE_USERNAME",
    "SOURCE_PASSWORD",
    "DOCKER_REGISTRY",
    "DEST_REGISTRY",
    "DOCKER_USERNAME",
    "DOCKER_PASSWORD",
    "CONTAINERS_REGISTRIES_CONF",
    "CONTAINERS_STORAGE_CONF",
)
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy")
XDG = {
    "XDG_CONFIG_HOME": ".config",
    "XDG_CACHE_HOME": ".cache",
    "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
    "XDG_RUNTIME_DIR": "run",
}

# For all that looks for skopeo there, children included.
os.environ["PATH"] = path_with_chosen(os.environ["PATH"])


def _required(name: str) -> tuple[Tool, ...]:
    try:
        return versions(name)
    except ToolNotFound as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def skopeo() -> Path:
    """Give the oldest skopeo: the one with the most to work around."""
    return _required("skopeo")[0].path


@pytest.fixture(scope="session")
def buildx() -> Path:
    """Give the newest buildx plugin."""
    return _required("buildx")[-1].path


@pytest.fixture(autouse=True, scope="session")
def _versions_asked_once() -> Iterator[None]:
    """Ask the tools of this machine for their versions once, not in each run of this process."""
    ours = {tool.path.resolve() for name in ("skopeo", "buildx") for tool in _required(name)}
    answers = dict[Path, Version]()

    def ask(tool: Any, path: Path, environment: Mapping[str, str], **more: Any) -> Version:
        real = path.resolve()
        if real in answers:
            return answers[real]
        version = probe(tool, path, environment, **more)
        return answers.setdefault(real, version) if real in ours else version

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toolbox, "probe", ask)
        yield


@pytest.fixture(scope="session")
def docker_registry() -> Path:
    """Give docker-registry; every registry fixture needs it."""
    found = shutil.which("docker-registry")
    if found is None:
        pytest.fail("docker-registry is not installed: run scripts/setup", pytrace=False)
    return Path(found)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Give a private authority for all registries of this run."""
    return issue_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def clean_environment(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Give every test an empty home with the buildx plugin in it, and nobody's settings."""
    home = tmp_path_factory.mktemp("home")
    for name in [*os.environ]:
        if name in DROPPED or name.lower() in PROXIES or name.startswith("IMAGE_TOOLS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    for name, folder in XDG.items():
        (home / folder).mkdir(parents=True, mode=0o700)
        monkeypatch.setenv(name, str(home / folder))
    _link_buildx(home)
    return home


def _link_buildx(home: Path) -> None:
    """Put the plugin where docker and the program look for it."""
    _required("buildx")
    plugins = home / ".docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(newest("buildx"))


@pytest.fixture
def registry(docker_registry: Path) -> Iterator[Registry]:
    """Give an empty open registry over plain HTTP: the destination of most tests."""
    with plain_registry() as running:
        yield running


@pytest.fixture
def source_registry(docker_registry: Path) -> Iterator[Registry]:
    """Give another empty open registry over plain HTTP."""
    with plain_registry() as running:
        yield running


@pytest.fixture
def tls_registry(docker_registry: Path, certificates: Certificates) -> Iterator[Registry]:
    """Give an empty registry over TLS with the private authority."""
    with start_registry(RegistryOptions(certificates=certificates)) as running:
        yield running


@pytest.fixture
def client_certificate_registry(
    docker_registry: Path, certificates: Certificates
) -> Iterator[Registry]:
    """Give an empty registry over TLS that demands the client certificate."""
    options = RegistryOptions(certificates=certificates, client_certificate=True)
    with start_registry(options) as running:
        yield running


@pytest.fixture
def htpasswd_registry(docker_registry: Path) -> Iterator[Registry]:
    """Give an empty registry over plain HTTP that asks for `LAB_LOGIN`."""
    with start_registry(RegistryOptions(login=LAB_LOGIN)) as running:
        yield running


@pytest.fixture
def tls_htpasswd_registry(docker_registry: Path, certificates: Certificates) -> Iterator[Registry]:
    """Give an empty registry over TLS that asks for `LAB_LOGIN`."""
    options = RegistryOptions(login=LAB_LOGIN, certificates=certificates)
    with start_registry(options) as running:
        yield running


@pytest.fixture
def token_server() -> Iterator[TokenServer]:
    """Give the token server behind `token_registry`; its policy may be changed at any time."""
    with TokenServer() as server:
        yield server


@pytest.fixture
def token_registry(docker_registry: Path, token_server: TokenServer) -> Iterator[Registry]:
    """Give an empty registry over plain HTTP that demands bearer tokens."""
    with start_registry(RegistryOptions(token_server=token_server)) as running:
        yield running


@pytest.fixture
def fault_registry() -> Iterator[FaultRegistry]:
    """Give an empty registry double over plain HTTP."""
    with FaultRegistry() as double:
        yield double


@pytest.fixture(scope="module")
def module_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give what module-wide fixtures run with: they come before the environment of a test."""
    home = tmp_path_factory.mktemp("module-home")
    _link_buildx(home)
    found = dict.fromkeys(DROPPED, "")
    found |= {name: "" for name in os.environ if name.lower() in PROXIES}
    found |= {name: str(home / folder) for name, folder in XDG.items()}
    return {**found, "HOME": str(home)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, docker_registry: Path) -> Iterator[Registry]:
    """Give the registries of the internet, with the images of the documents."""
    certificates = issue_certificates(tmp_path_factory.mktemp("world"), WORLD_NAMES)
    with start_registry(RegistryOptions(certificates=certificates)) as registry:
        push(registry, "library/nginx", "1.25", NGINX)
        push(registry, "coreos/etcd", "v3.5.9", ETCD)
        yield registry


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Give the private authority of the registries that the documents write to."""
    return issue_certificates(tmp_path_factory.mktemp("company"), COMPANY_NAMES)


@pytest.fixture
def example_lab(
    world: Registry, company: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ExampleLab]:
    """Give a user's folder with list and password, and the way to the registries of the names."""
    monkeypatch.chdir(tmp_path)
    found = ExampleLab(world, company, tmp_path)
    found.furnish()
    assert world.options.certificates is not None
    for name, value in {
        "HTTP_PROXY": found.proxy.url,
        "HTTPS_PROXY": found.proxy.url,
        "SSL_CERT_FILE": found.trust(world.options.certificates, company),
        "READER_PASSWORD": "reader-Secret",
        "WRITER_PASSWORD": WRITER.password,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }.items():
        monkeypatch.setenv(name, value)
    yield found
    found.close()
