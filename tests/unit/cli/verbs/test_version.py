"""The versions page, with and without tools."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest

import image_tools
from image_tools import __version__
from image_tools.cli.app import main
from image_tools.errors import ToolTooOld
from image_tools.tools import versions
from image_tools.tools.versions import Tool, Version


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """A machine with a good skopeo, an old buildx, and nothing else."""
    for name in ("skopeo", "docker-buildx"):
        (tmp_path / name).touch(mode=0o755)

    def probe(tool: Tool, path: Path, environment: Mapping[str, str]) -> Version:
        assert set(environment) == {"PATH", "HOME", "LANG"}
        if tool == "buildx":
            raise ToolTooOld("docker buildx 0.5 is too old", advice="install a newer one")
        return Version(1, 9, 3, "1.9.3")

    monkeypatch.setattr(versions, "probe", probe)
    return {
        "HOME": str(tmp_path),
        "IMAGE_TOOLS_SKOPEO": str(tmp_path / "skopeo"),
        "IMAGE_TOOLS_BUILDX": str(tmp_path / "docker-buildx"),
        "DOCKER_PASSWORD": "hunter22",
    }


def test_version_table_shows_paths_and_problems(
    environ: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["version"], environ) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[3:6] == [
        f"skopeo      1.9.3           {environ['IMAGE_TOOLS_SKOPEO']}",
        "buildx      docker buildx 0.5 is too old",
        f"            {environ['IMAGE_TOOLS_BUILDX']}",
    ]
    assert out.splitlines()[6].strip() == "install a newer one"


def test_version_json_is_one_object_by_name(
    environ: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["version", "--format", "json"], environ) == 0
    assert json.loads(capsys.readouterr().out) == {
        "image-tools": {"version": __version__, "path": str(Path(image_tools.__file__).parent)},
        "python": {"version": platform.python_version(), "path": sys.executable},
        "aiohttp": {"version": metadata.version("aiohttp")},
        "skopeo": {"version": "1.9.3", "path": environ["IMAGE_TOOLS_SKOPEO"]},
        "buildx": {
            "path": environ["IMAGE_TOOLS_BUILDX"],
            "problem": "docker buildx 0.5 is too old",
            "advice": "install a newer one",
        },
        "platform": {"version": f"{sys.platform} {platform.machine()}"},
    }


def test_version_tool_missing_says_how_to_get_it(
    environ: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["version"], {**environ, "IMAGE_TOOLS_SKOPEO": "/missing"}) == 0
    assert "skopeo      IMAGE_TOOLS_SKOPEO is '/missing', which is no program" in (
        capsys.readouterr().out
    )
