"""The folders of a user, by the XDG base directory specification.

macOS has the same ones: platformdirs would choose ~/Library there, where the files of earlier
versions are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def home_folder(environ: Mapping[str, str]) -> Path:
    """Return HOME; where that is not absolute, the home of the user as the system knows it."""
    home = Path(environ.get("HOME", ""))
    return home if home.is_absolute() else Path.home()


def state_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of state and history, in XDG_STATE_HOME or ~/.local/state."""
    return _xdg(environ, "XDG_STATE_HOME", ".local/state") / "image-tools"


def data_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of downloaded programs, in XDG_DATA_HOME or ~/.local/share."""
    return _xdg(environ, "XDG_DATA_HOME", ".local/share") / "image-tools"


def _xdg(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    # The specification has relative paths ignored.
    base = Path(environ.get(variable, ""))
    return base if base.is_absolute() else home_folder(environ) / below_home
