"""`image-tools convert-list` from its words to its exit code."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.helpers.running import image_tools

LIST = "# images\n\nnginx:1.25  # web\r\nquay.io/x/y@sha256:" + "ab" * 32 + "\n"
SAID = "a digest names no tag for the destination"
MIRROR = "docker.io/library/nginx reg:5000/team/nginx 1.25"


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SOURCE_REGISTRY", "DOCKER_REGISTRY", "DEST_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    Path("list.txt").write_bytes(LIST.encode())


def test_convert_list_to_standard_output_keeps_bad_lines_and_fails() -> None:
    ran = image_tools("convert-list", "-i", "list.txt", "-d", "reg:5000/team")

    assert (ran.code, ran.stdout) == (1, LIST.replace("nginx:1.25", MIRROR))
    assert f"[ERRO] list.txt:4: {SAID}" in ran.stderr


def test_convert_list_there_and_back_through_files() -> None:
    Path("list.txt").write_text("docker.io/library/nginx:1.25\n")
    there = image_tools("convert-list", "-input=list.txt", "-o", "new.txt", "-d", "reg:5000")
    back = image_tools("convert-list", "-i", "new.txt", "-o", "-", "--reverse")

    assert (there.code, there.stdout) == (0, "")
    assert "new.txt: lines converted: 1" in there.stderr
    assert Path("new.txt").read_text() == "docker.io/library/nginx reg:5000/library/nginx 1.25\n"
    assert (back.code, back.stdout) == (0, "docker.io/library/nginx:1.25\n")


def test_convert_list_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"x/y:1\n")))
    ran = image_tools("convert-list", "-i", "-", environ={"DOCKER_REGISTRY": "reg:5000"})

    assert (ran.code, ran.stdout) == (0, "docker.io/x/y reg:5000/x/y 1\n")


def test_convert_list_what_the_default_format_cannot_say_is_a_warning() -> None:
    Path("list.txt").write_text("nginx reg:5000/web/nginx 1\n")
    ran = image_tools("convert-list", "-i", "list.txt", "--reverse")

    assert (ran.code, ran.stdout) == (0, "nginx reg:5000/web/nginx 1\n")
    assert "[WARN] list.txt:1: stays as it is: docker.io/library/nginx:1" in ran.stderr


@pytest.mark.parametrize("name", ["list.txt", "./list.txt", "link.txt", "hard.txt"])
def test_convert_list_never_writes_over_its_input(name: str) -> None:
    Path("link.txt").symlink_to("list.txt")
    Path("hard.txt").hardlink_to("list.txt")
    ran = image_tools("convert-list", "-i", "list.txt", "-o", name, "-d", "reg:5000")

    assert (ran.code, "is the list that is read" in ran.stderr) == (2, True)
    assert Path("list.txt").read_bytes() == LIST.encode()


def test_convert_list_missing_file_says_how_to_give_it() -> None:
    ran = image_tools("convert-list", "-i", "none.txt")

    assert ran.code == 2
    assert "the list none.txt cannot be read: No such file" in ran.stderr
    assert "advice: give the list's file with -i FILE" in ran.stderr
