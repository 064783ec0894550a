"""`mirror` of a list in which nothing is, and of one of which all is skipped."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_tools.cli.app import main
from tests.helpers.fake_run import FakeRun
from tests.helpers.faked_mirror import environ, faked_mirror, run, untimed


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with faked_mirror(tmp_path, monkeypatch):
        yield


STALE = """\
# failed lines of list.txt, ready to be fed in again
# list: {here}/list.txt
# destination: {destination}
# not found
nginx
"""


def stale(destination: str = "reg:5000") -> str:
    return STALE.format(here=Path.cwd(), destination=destination)


@pytest.mark.parametrize("content", ["", "# nothing\n\n  // more\n", "\ufeff"])
@pytest.mark.parametrize("more", ["", "--dry-run"])
def test_mirror_empty_list_is_an_error_and_touches_nothing(
    content: str, more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("list.txt").write_text(content)
    Path("mirror-failed.txt").write_text(stale())

    assert run(f"-f list.txt -d reg:5000 {more}") == 2

    out, err = capsys.readouterr()
    assert (out, FakeRun.made) == ("", [])
    assert "[ERRO] list.txt: the list is empty\n" in err
    assert "--allow-empty" in err
    assert Path("mirror-failed.txt").read_text() == stale()


def test_mirror_list_without_a_readable_line_is_empty_when_they_are_skipped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("list.txt").write_text("a b\nNGINX\n")

    assert run("-f list.txt -d reg:5000 --skip-invalid") == 2
    assert "list.txt: the list is empty" in capsys.readouterr().err
    assert run("-f list.txt -d reg:5000 --skip-invalid --allow-empty") == 0
    assert run("-f list.txt -d reg:5000 --allow-empty") == 1


def test_mirror_empty_standard_input_is_an_error_unless_it_may_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))

    assert run("-f - -d reg:5000") == 2
    assert "[ERRO] standard input: the list is empty" in capsys.readouterr().err
    assert run("-f - -d reg:5000", IMAGE_TOOLS_ALLOW_EMPTY="1") == 0
    assert run("-d reg:5000") == 2  # A broken pipe; at a terminal nobody has to type a line.


@pytest.mark.parametrize("text", ["", " "])
@pytest.mark.parametrize("side", ["-s", "-d"])
def test_mirror_empty_registry_is_an_error(
    side: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("list.txt").write_text("nginx\n")

    assert main(["mirror", "-f", "list.txt", side, text], environ()) == 2

    assert f"{side} is empty" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["mirror-failed.txt", "list.txt"])
def test_mirror_list_that_may_be_empty_says_so_and_removes_its_failed_list(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("list.txt").write_text("# nothing\n")
    Path("mirror-failed.txt").write_text(stale())

    assert run(f"-f list.txt -d reg:5000 -o {name} --allow-empty") == 0

    assert untimed(capsys.readouterr().err) == (
        "[WARN] list.txt names no image\nnothing to do: no images\n"
    )
    assert Path("list.txt").exists()
    assert Path("mirror-failed.txt").exists() is (name == "list.txt")


def test_mirror_list_that_may_be_empty_leaves_the_failed_list_of_another_place(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("list.txt").write_text("")
    Path("mirror-failed.txt").write_text(stale("other:5000"))

    assert run("-f list.txt -d reg:5000 --allow-empty") == 0
    assert Path("mirror-failed.txt").read_text() == stale("other:5000")


def test_mirror_all_skipped_is_a_failure_that_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Path("list.txt").write_text("skipped:1\nskipped:2\n")

    assert run("-f list.txt -d reg:5000 -q") == 1
    assert "[WARN] every image was skipped: none has a platform" in capsys.readouterr().err

    Path("list.txt").write_text("skipped:1\nnginx:2\n")

    assert run("-f list.txt -d reg:5000") == 0
    assert "every image" not in capsys.readouterr().err


def test_mirror_dry_run_that_would_skip_all_is_a_failure_that_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("list.txt").write_text("skipped:1\n")

    assert run("-f list.txt -d reg:5000 --dry-run") == 1
    assert "[WARN] every image was skipped" in capsys.readouterr().err
