"""An empty list is an error for every command that reads one, and touches nothing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from image_tools.cli.app import main
from image_tools.stores.archive.content import Form
from image_tools.stores.archive.file.archive_file import FileContent
from image_tools.stores.archive.inventory import Inventory
from tests.helpers.archive_files import INDEX

COMMANDS = {
    "mirror": "mirror -f {} -d reg:5000",
    "mirror-dry": "mirror -f {} -d reg:5000 --dry-run",
    "mirror-validate": "mirror-validate -f {} -d reg:5000",
    "save": "save -f {} -d new.tar.gz",
    "save-dry": "save -f {} -d new.tar.gz --dry-run",
    "save-replace": "save -f {} -d there.tar.gz --replace -y",
    "save-base": "save -f {} -d new.tar.gz --base reg:5000",
    "sync": "sync -f {} -d there.tar.gz",
    "save-validate": "save-validate -f {} -d there.tar.gz",
    "load": "load -s there.tar.gz -f {} -d reg:5000",
    "load-dry": "load -s there.tar.gz -f {} -d reg:5000 --dry-run",
    "load-validate": "load-validate -s there.tar.gz -f {} -d reg:5000",
    "export": "archive export -s there.tar.gz -d new.tar.gz -f {}",
    "inspect-list": "inspect list -f {}",
    "inventory": "inventory -f {} -d reg:5000 -o new.json",
    "convert-list": "convert-list -i {} -o new.txt",
    "convert-list-back": "convert-list --reverse -i {} -o new.txt",
}
ARCHIVES = {
    "load": "load -s there.tar.gz -d reg:5000",
    "load-dry": "load -s there.tar.gz -d reg:5000 --dry-run",
    "load-validate": "load-validate -s there.tar.gz -d reg:5000",
    "export": "archive export -s there.tar.gz -d new.tar.gz",
}
NEVER_SKIPS = ("convert-list", "convert-list-back")


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    Path("empty.txt").write_text("# nothing\n\n")
    Path("invalid.txt").write_text("a b\n")
    FileContent.create(Path("there.tar.gz"), Form.GZIP).publish(INDEX)
    for command in ("mirror", "save", "load", "sync"):
        Path(f"{command}-failed.txt").write_text(
            f"# failed lines of empty.txt, ready to be fed in again\nnginx:1 {command}\n"
        )


def contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path.cwd().iterdir() if path.is_file()}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_empty_list_is_an_error_that_touches_nothing(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents()

    assert main(command.format("empty.txt").split()) == 2

    out, err = capsys.readouterr()
    assert (out, "empty.txt: the list is empty" in err, "--allow-empty" in err) == ("", True, True)
    assert contents() == before


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in NEVER_SKIPS])
def test_list_of_invalid_lines_that_are_skipped_is_empty(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents()

    assert main([*COMMANDS[name].format("invalid.txt").split(), "--skip-invalid"]) == 2

    assert "invalid.txt: the list is empty" in capsys.readouterr().err
    assert contents() == before


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_list_that_may_be_empty_is_none(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.format("empty.txt").split(), "--allow-empty"]) == 0

    assert "empty.txt names no image" in capsys.readouterr().err


def test_doctor_warns_of_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "-f", "empty.txt"])

    assert "[WARN] empty.txt names no image" in capsys.readouterr().err


@pytest.mark.parametrize("command", ARCHIVES.values(), ids=ARCHIVES)
def test_archive_without_images_is_an_error_that_touches_nothing(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents()

    assert main(command.split()) == 2

    err = capsys.readouterr().err
    assert ("there.tar.gz: the archive has no images" in err, "--allow-empty" in err) == (True,) * 2
    assert contents() == before


@pytest.mark.parametrize("command", ARCHIVES.values(), ids=ARCHIVES)
def test_archive_that_may_have_no_images_is_none(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), "--allow-empty"]) == 0

    assert "has no images" in capsys.readouterr().err


QUICK = ("--retry-times", "0", "--no-download")


def _nothing_there(*words: Any) -> tuple[Inventory, bool]:
    assert words[-1].content == b"127.0.0.1:9/a/b:1\n"
    return Inventory("there", {}, {}), False


def test_merge_of_archives_without_images_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    before = contents()

    assert main(["archive", "merge", "there.tar.gz", "there.tar.gz", "-o", "new.tar.gz"]) == 2

    assert "[ERRO] the archives have no images" in capsys.readouterr().err
    assert contents() == before
    words = "archive merge there.tar.gz there.tar.gz -o new.tar.gz --allow-empty"
    assert main(words.split()) == 0


@pytest.mark.parametrize("command", ["mirror", "mirror-validate"])
@pytest.mark.parametrize("content", [b"", b"# nothing\n\n"])
def test_pipe_without_an_image_is_an_error_without_a_list_file_too(
    command: str,
    content: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = contents()
    words = [command, "-d", "127.0.0.1:9", *QUICK]

    def code(*more: str) -> int:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        return main([*words, *more])

    assert code() == 2
    assert "standard input: the list is empty" in capsys.readouterr().err
    assert code("--allow-empty") == 0
    assert contents() == before


def test_save_beside_a_registry_reads_standard_input_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"127.0.0.1:9/a/b:1\n")))
    monkeypatch.setattr("image_tools.cli.archive_choice.registry_inventory", _nothing_there)

    code = main(["save", "-f", "-", "-d", "new.tar.gz", "--base", "127.0.0.1:9", *QUICK])

    err = capsys.readouterr().err
    assert (code, "the list is empty" in err) == (1, False), err
    assert "standard input: 1 image," in err
