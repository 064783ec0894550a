"""Runs on machines where a tool is missing, too old, or has to be downloaded first."""

from __future__ import annotations

import hashlib
import http.server
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.client import push, tags
from tests.helpers.registry import Registry
from tests.helpers.running import Ran, mirror
from tests.helpers.threaded_server import ThreadedServer


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, without a word on stderr."""

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def site(skopeo: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Give the variables of a site that serves a real skopeo itself, on a machine without one."""
    folder = tmp_path / "site"
    folder.mkdir()
    content = skopeo.resolve().read_bytes()
    (folder / "skopeo").write_bytes(content)
    server = ThreadedServer(partial(Quiet, directory=str(folder)))
    server.start()
    yield {
        "PATH": str(tmp_path),
        "IMAGE_TOOLS_SKOPEO_URL": f"http://{server.address}/skopeo",
        "IMAGE_TOOLS_SKOPEO_SHA256": hashlib.sha256(content).hexdigest(),
    }
    server.stop()


def _mirror(
    source: Registry, destination: Registry, folder: Path, environ: dict[str, str], *words: str
) -> Ran:
    push(source.endpoint, "team/app", "1.0", images.docker_list(1))
    line = f"{source.address}/team/app:1.0\n"
    return mirror(folder, line, "-d", destination.address, *words, environ=environ)


def test_mirror_without_skopeo_downloads_it_once(
    source_registry: Registry,
    registry: Registry,
    tmp_path: Path,
    site: dict[str, str],
    clean_environment: Path,
) -> None:
    first = _mirror(source_registry, registry, tmp_path, site)
    again = _mirror(source_registry, registry, tmp_path, site, "--force")
    installed = clean_environment / ".local/share/image-tools/bin/skopeo"
    assert (first.statuses, again.statuses) == (["copied"], ["copied"]), first.stderr
    assert installed.stat().st_mode & 0o777 == 0o755
    assert "downloading" in first.stderr
    assert "downloading" not in again.stderr


def test_mirror_with_a_wrong_sum_copies_nothing_and_names_both_sums(
    source_registry: Registry,
    registry: Registry,
    tmp_path: Path,
    site: dict[str, str],
    clean_environment: Path,
) -> None:
    ran = _mirror(
        source_registry, registry, tmp_path, {**site, "IMAGE_TOOLS_SKOPEO_SHA256": "0" * 64}
    )
    assert ran.code == 3
    assert "0" * 64 in ran.stderr
    assert site["IMAGE_TOOLS_SKOPEO_SHA256"] in ran.stderr
    assert not (clean_environment / ".local/share/image-tools/bin/skopeo").exists()
    assert tags(registry.endpoint, "team/app") == []


def test_mirror_without_skopeo_and_download_says_how_to_install_it(
    source_registry: Registry, registry: Registry, tmp_path: Path, site: dict[str, str]
) -> None:
    ran = _mirror(source_registry, registry, tmp_path, site, "--no-download")
    assert ran.code == 3
    assert "skopeo is not installed" in ran.stderr
    assert "IMAGE_TOOLS_SKOPEO" in ran.stderr
    assert f"{source_registry.address}/team/app:1.0" in (tmp_path / "failed.txt").read_text()


def test_mirror_without_buildx_moves_no_layer_and_names_the_package(
    source_registry: Registry,
    registry: Registry,
    tmp_path: Path,
    clean_environment: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (clean_environment / ".docker/cli-plugins/docker-buildx").unlink()
    monkeypatch.setattr("image_tools.tools.locate._LINUX_PLUGIN_FOLDERS", ())
    monkeypatch.setattr("image_tools.tools.locate._MACOS_PLUGIN_FOLDERS", ())
    ran = _mirror(source_registry, registry, tmp_path, {})
    assert ran.code == 3
    assert "docker-buildx" in ran.stderr
    assert "github.com/docker/buildx/releases" in ran.stderr
    assert registry.stored_blobs() == frozenset()


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("IMAGE_TOOLS_SKOPEO", "skopeo version 1.4.1"),
        ("IMAGE_TOOLS_BUILDX", "github.com/docker/buildx 0.10.5 abcdef"),
    ],
)
def test_mirror_with_a_tool_that_is_too_old_says_what_is_needed(
    source_registry: Registry, registry: Registry, tmp_path: Path, variable: str, says: str
) -> None:
    old = tmp_path / "old"
    old.write_text(f"#!/bin/sh\necho '{says}'\n")
    old.chmod(0o755)
    ran = _mirror(source_registry, registry, tmp_path, {variable: str(old)})
    assert ran.code == 3
    assert "too old" in ran.stderr
    assert "or newer is needed" in ran.stderr
