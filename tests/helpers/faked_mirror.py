"""`mirror` in a folder with a list, and a run that is not carried out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from image_tools.cli import list_runs, redact
from image_tools.cli.app import main
from tests.helpers.fake_run import FakeRun

LIST = b"""\
\xef\xbb\xbf# images
nginx:1.25
same reg.example/x/same 1\r
\tfailing:2
a b
  nginx:1.25
"""


@contextmanager
def faked_mirror(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Go to `folder` with a list, and put the fake run in the place of the real one."""
    monkeypatch.setattr(list_runs, "ListRun", FakeRun)
    monkeypatch.setattr(FakeRun, "made", [])
    monkeypatch.chdir(folder)
    Path("list.txt").write_bytes(LIST)
    yield
    assert not any(run.is_open for run in FakeRun.made)
    redact.forget_secrets()


def environ(**more: str) -> Mapping[str, str]:
    return {"XDG_STATE_HOME": str(Path.cwd()), "HOME": str(Path.cwd()), **more}


def run(text: str, **more: str) -> int:
    return main(["mirror", *text.split()], environ(**more))


def untimed(text: str) -> str:
    return re.sub(r"^\d\d:\d\d:\d\d ", "", text, flags=re.MULTILINE)
