"""The forms an archive can have, and the endings of names that stand for them."""

from __future__ import annotations

from enum import Enum
from pathlib import Path


class Form(Enum):
    """How an archive lies on the disk; the values are the words of `--compress`."""

    FOLDER = "dir"
    TAR = "none"
    GZIP = "gzip"
    ZSTD = "zstd"

    @property
    def default_name(self) -> str:
        """What an archive of this form is called where nobody gave it a name."""
        return _NAMES[self]


_NAMES = {
    Form.FOLDER: "saved-image-cache",
    Form.TAR: "saved-images.tar",
    Form.GZIP: "saved-images.tar.gz",
    Form.ZSTD: "saved-images.tar.zst",
}
_ENDINGS = {
    ".tar.gz": Form.GZIP,
    ".tgz": Form.GZIP,
    ".tar.zst": Form.ZSTD,
    ".tar.zstd": Form.ZSTD,
    ".tzst": Form.ZSTD,
    ".tar": Form.TAR,
}


def form_named(path: Path) -> Form | None:
    """The form that the ending of a file's name stands for, None for another one."""
    name = path.name.lower()
    return next((form for ending, form in _ENDINGS.items() if name.endswith(ending)), None)
