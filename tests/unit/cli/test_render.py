"""Standard output, standard error and report files, also when they fail."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path

import pytest

from image_tools.cli import render
from image_tools.errors import EnvironmentProblem, UsageError


class Broken(io.StringIO):
    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


def test_streams_get_their_texts(capsys: pytest.CaptureFixture[str]) -> None:
    render.out("result")
    render.out_json({"name": "镜像"})
    render.err("problem")

    assert capsys.readouterr() == ('result\n{\n  "name": "镜像"\n}\n', "problem\n")


EVIL = "a\x1b[2J\x9b1m\x1b]0;t\x07b\u202ec"


def test_streams_command_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    render.out(EVIL)
    render.err(EVIL)
    render.prompt(EVIL)

    assert capsys.readouterr() == ("abc\n", "abc\nabc")


def test_json_escapes_what_commands_a_terminal_and_loses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {"name": f"{EVIL}\ud800 镜像"}
    path = tmp_path / "report.json"

    render.out_json(document)
    render.write_report(path, document)

    shown = capsys.readouterr().out
    assert json.loads(shown) == json.loads(path.read_text()) == document
    assert [letter for letter in shown if not (letter.isprintable() or letter == "\n")] == []


def test_out_bytes_on_a_screen_command_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdout", screen)

    render.out_bytes(f"{EVIL}\n".encode() + b"\xff")

    assert screen.getvalue() == "abc\n\N{REPLACEMENT CHARACTER}\n"


def test_out_reader_that_left_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[object] = []
    stream = Broken(BrokenPipeError())
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr(render, "abandon", left.append)

    render.out("text")

    assert left == [stream]


def test_out_full_disk_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Broken(OSError(28, "No space left on device")))

    with pytest.raises(EnvironmentProblem, match="cannot be written: No space left on device"):
        render.out("text")


def test_err_that_cannot_be_written_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Broken(OSError(28, "No space left on device"))
    monkeypatch.setattr("sys.stderr", stream)

    render.err("text")

    assert stream.getvalue() == ""


def test_abandon_sends_what_follows_to_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("w") as stream:
        stream.write("before\n")
        stream.flush()
        render.abandon(stream)
        stream.write("after\n")

    assert path.read_text() == "before\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (".", "--report: . is a folder"),
        ("missing/report.json", "--report: the folder missing does not exist"),
    ],
)
def test_check_result_file_impossible_place_is_said_early(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError) as caught:
        render.check_result_file("--report", Path(name))

    assert caught.value.message == message


def test_write_report_replaces_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")

    render.write_report(path, {"schema": 1})

    assert json.loads(path.read_text()) == {"schema": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_write_report_through_a_link_replaces_what_it_leads_to(tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    link.symlink_to(target)

    render.write_report(link, {"schema": 1})

    assert (link.is_symlink(), json.loads(target.read_text())) == (True, {"schema": 1})


def test_write_report_device_stays_a_device(tmp_path: Path) -> None:
    device = tmp_path / "null"
    device.symlink_to("/dev/null")

    render.check_result_file("--report", device)
    render.write_report(device, {"schema": 1})

    assert device.is_char_device()


def test_write_report_that_fails_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "report.json"
    path.write_text("old")
    monkeypatch.setattr("os.fsync", refuse)

    with pytest.raises(OSError, match="No space"):
        render.write_report(path, {"schema": 1})

    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])
