"""Which command is meant, and what becomes of every kind of failure."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from image_tools import __version__
from image_tools.cli import app, redact
from image_tools.cli.options import VerbOptions
from image_tools.errors import (
    AlreadyRunning,
    ImageToolsError,
    Interrupted,
    NotFound,
    ToolMissing,
    UsageError,
)


@pytest.mark.parametrize("words", [["--version"], ["-version"], ["-V"]])
def test_main_version_word_prints_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(words, {}) == 0
    assert capsys.readouterr() == (f"image-tools {__version__}\n", "")


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        ("help", "Usage: image-tools COMMAND"),
        ("--help", "Usage: image-tools COMMAND"),
        ("-h", "Usage: image-tools COMMAND"),
        ("help mirror", "Usage: image-tools mirror"),
        ("--help version", "Usage: image-tools version"),
        ("mirror --help", "Usage: image-tools mirror"),
        ("mirror -f list.txt --wrong -help", "Usage: image-tools mirror"),
    ],
)
def test_main_help_in_any_form_is_on_standard_output(
    text: str, begin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(text.split(), {}) == 0
    out, err = capsys.readouterr()
    assert (out.startswith(begin), err) == (True, "")


def test_main_without_words_shows_the_overview_as_a_mistake(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert app.main([], {}) == 2
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[0]) == ("", "Usage: image-tools COMMAND [OPTIONS]")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mirrr", "unknown command 'mirrr', did you mean mirror?\n    advice: image-tools help"),
        ("zzz", "unknown command 'zzz'\n"),
        ("help zzz", "unknown command 'zzz'\n"),
        ("help mirror more", "unexpected argument 'more'\n    advice: help takes one command"),
        (
            "-debug mirror",
            "-debug stands before the command\n    advice: write image-tools COMMAND",
        ),
        ("mirror --fiel x", "unknown option --fiel, did you mean --file?\n    advice: see image-"),
        ("version --format xml", "--format: 'xml' is unknown: write table or json"),
        ("mirror -d A -d B", "-d is given twice: it takes one value\n"),
        ("mirror -a amd46", '--arch: unknown architecture "amd46": did you mean amd64?'),
    ],
)
def test_main_mistake_is_explained_with_exit_code_2(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(text.split(), {}) == 2
    out, err = capsys.readouterr()
    assert (out, err[8:].startswith(f" [ERRO] {message}")) == ("", True)
    assert "Traceback" not in err


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def parse(page: object, words: object, environ: object) -> VerbOptions:
        raise error

    monkeypatch.setattr(app, "parse", parse)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ImageToolsError("x"), 1),
        (NotFound("x"), 1),
        (UsageError("x"), 2),
        (ToolMissing("x"), 3),
        (AlreadyRunning("x"), 4),
        (Interrupted(signal.SIGINT), 130),
        (Interrupted(signal.SIGTERM), 143),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 1),
        (RuntimeError("x"), 70),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_main_failure_has_its_exit_code(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("image_tools.cli.render.abandon", lambda stream: None)
    failing(monkeypatch, error)

    assert app.main(["mirror"], {}) == code
    assert "Traceback" not in capfd.readouterr().err


def test_main_explained_failure_shows_message_and_advice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, ToolMissing("skopeo is not installed", advice="install it"))

    app.main(["mirror"], {})

    assert capsys.readouterr().err[8:] == (
        " [ERRO] skopeo is not installed\n    advice: install it\n"
    )


@pytest.mark.parametrize(
    ("words", "variable", "traced"),
    [
        ("mirror", "", False),
        ("mirror -debug", "", True),
        ("mirror --debug=true", "false", True),
        ("mirror --debug=false", "true", False),
        ("mirror", "1", True),
        ("mirror", "perhaps", False),
    ],
)
def test_main_bug_asks_for_a_report_and_traces_at_debug_only(
    words: str,
    variable: str,
    traced: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    redact.add_secret("hunter22")
    failing(monkeypatch, RuntimeError("password hunter22"))

    assert app.main(words.split(), {"IMAGE_TOOLS_DEBUG": variable}) == 70
    err = capsys.readouterr().err
    assert err.startswith("This is a bug in image-tools: RuntimeError: password ***\nPlease report")
    assert f"image-tools {__version__}, Python 3." in err
    assert ("Traceback" in err) is traced
    assert "hunter22" not in err
    redact.forget_secrets()


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PermissionError(13, "Permission denied", "/x"), 3, "[ERRO] /x: Permission denied"),
        (OSError(28, "No space left on device"), 3, "[ERRO] No space left on device"),
        (OSError(9, "Bad file descriptor"), 70, "This is a bug in image-tools"),
    ],
)
def test_main_what_the_machine_refuses_is_no_bug(
    error: OSError,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: object) -> int:
        raise error

    monkeypatch.setattr(app, "_dispatch", refuse)
    assert app.main(["mirror"], {}) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environ", "home", "expected"),
    [
        ({"HOME": "/home/me"}, Path("/other"), "/home/me"),
        ({}, Path("/home/known"), "/home/known"),
        ({"HOME": ""}, RuntimeError("Could not determine home directory."), "/"),
    ],
)
def test_main_user_without_home_gets_the_known_one_or_the_root(
    environ: dict[str, str],
    home: Path | RuntimeError,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def known() -> Path:
        if isinstance(home, RuntimeError):
            raise home
        return home

    seen: list[str] = []

    def dispatch(_: object, found: dict[str, str]) -> int:
        seen.append(found["HOME"])
        return 0

    monkeypatch.setattr(Path, "home", known)
    monkeypatch.setattr(app, "_dispatch", dispatch)
    assert (app.main(["mirror"], environ), seen) == (0, [expected])
