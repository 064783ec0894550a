"""Where a user's files are."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_tools.machine.folders import data_folder, home_folder, state_folder


@pytest.mark.parametrize(
    ("environ", "state", "data"),
    [
        ({"HOME": "/h"}, "/h/.local/state/image-tools", "/h/.local/share/image-tools"),
        (
            {"HOME": "/h", "XDG_STATE_HOME": "/s", "XDG_DATA_HOME": "/d"},
            "/s/image-tools",
            "/d/image-tools",
        ),
        (
            {"HOME": "/h", "XDG_STATE_HOME": "s", "XDG_DATA_HOME": ""},
            "/h/.local/state/image-tools",
            "/h/.local/share/image-tools",
        ),
    ],
    ids=["home", "variables", "relative-or-empty"],
)
def test_folders_are_those_of_the_xdg_specification(
    environ: dict[str, str], state: str, data: str
) -> None:
    assert (str(state_folder(environ)), str(data_folder(environ))) == (state, data)


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "here"}])
def test_home_that_is_not_absolute_is_the_systems(environ: dict[str, str]) -> None:
    assert home_folder(environ) == Path.home()
