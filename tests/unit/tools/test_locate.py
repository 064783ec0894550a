from __future__ import annotations

import json
from pathlib import Path

import pytest

from image_tools.errors import ToolMissing
from image_tools.tools import locate
from image_tools.tools.locate import downloaded_skopeo, find_skopeo


def find_buildx(environ: dict[str, str]) -> Path:
    return locate.find_buildx(environ, system_folders=())


def program(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    path.chmod(mode)
    return path


def environ_of(folder: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(folder / "home"), "PATH": str(folder / "bin"), **more}


def test_find_skopeo_several_places_first_one_wins(tmp_path):
    environ = environ_of(tmp_path)
    found = []
    for place in (downloaded_skopeo(environ), tmp_path / "bin/skopeo", tmp_path / "own/my-skopeo"):
        program(place)
        if place.name == "my-skopeo":
            environ["IMAGE_TOOLS_SKOPEO"] = str(place)
        found.append(find_skopeo(environ) == place)

    assert found == [True, True, True]


@pytest.mark.parametrize("mode", [0o644, None])
def test_find_skopeo_nothing_executable_is_missing(tmp_path, mode):
    if mode is None:
        (tmp_path / "bin/skopeo").mkdir(parents=True)
    else:
        program(tmp_path / "bin/skopeo", mode)

    with pytest.raises(ToolMissing, match="skopeo is not installed") as caught:
        find_skopeo(environ_of(tmp_path))

    assert "the package skopeo" in caught.value.advice


@pytest.mark.parametrize("path", ["", ".", "bin", ":"])
def test_find_skopeo_relative_path_entry_is_not_trusted(tmp_path, monkeypatch, path):
    program(tmp_path / "skopeo")
    program(tmp_path / "bin/skopeo")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ToolMissing):
        find_skopeo(environ_of(tmp_path, PATH=path))


def test_find_skopeo_chosen_by_bare_name_is_looked_up_on_path(tmp_path):
    own = program(tmp_path / "bin/skopeo-1.22")

    assert find_skopeo(environ_of(tmp_path, IMAGE_TOOLS_SKOPEO="skopeo-1.22")) == own


@pytest.mark.parametrize(
    ("find", "variable"),
    [(find_skopeo, "IMAGE_TOOLS_SKOPEO"), (find_buildx, "IMAGE_TOOLS_BUILDX")],
)
def test_find_tool_chosen_is_no_program_does_not_look_further(tmp_path, find, variable):
    for name in ("skopeo", "docker-buildx"):
        program(tmp_path / "bin" / name)

    with pytest.raises(ToolMissing, match=f"{variable} is '/nope/x', which is no program"):
        find(environ_of(tmp_path, **{variable: "/nope/x"}))


def test_find_buildx_several_places_dockers_order_wins(tmp_path):
    environ = environ_of(tmp_path, DOCKER_CONFIG=str(tmp_path / "config"))
    extra = tmp_path / "extra"
    config = tmp_path / "config/config.json"
    program(config).write_text(json.dumps({"cliPluginsExtraDirs": [7, "relative", str(extra)]}))
    folders = (
        tmp_path / "bin",
        tmp_path / "home/.docker/cli-plugins",
        tmp_path / "config/cli-plugins",
        extra,
    )

    found = []
    for folder in folders:
        place = program(folder / "docker-buildx")
        found.append(find_buildx(environ) == place)

    assert found == [True] * 4


@pytest.mark.parametrize(
    "content", [b"no json", b"[]", b'{"cliPluginsExtraDirs": "x"}', b"[" * 9**5]
)
def test_find_buildx_odd_docker_config_is_passed_over(tmp_path, content):
    place = program(tmp_path / "home/.docker/cli-plugins/docker-buildx")
    (tmp_path / "home/.docker/config.json").write_bytes(content)

    assert find_buildx(environ_of(tmp_path)) == place


def test_find_buildx_nowhere_names_package_and_page(tmp_path):
    with pytest.raises(ToolMissing) as caught:
        find_buildx(environ_of(tmp_path))

    assert "docker-buildx-plugin" in caught.value.advice
    assert "https://github.com/docker/buildx/releases" in caught.value.advice


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"HOME": "/home/me"}, "/home/me/.local/share/image-tools/bin/skopeo"),
        ({"HOME": "/home/me", "XDG_DATA_HOME": "/data"}, "/data/image-tools/bin/skopeo"),
        (
            {"HOME": "/home/me", "XDG_DATA_HOME": "data"},
            "/home/me/.local/share/image-tools/bin/skopeo",
        ),
    ],
)
def test_downloaded_skopeo_user_has_one_place(environ, path):
    assert downloaded_skopeo(environ) == Path(path)


def test_find_skopeo_folder_on_path_that_may_not_be_entered_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(ToolMissing, match="skopeo is not installed"):
        find_skopeo({"PATH": str(tmp_path), "HOME": str(tmp_path)})
