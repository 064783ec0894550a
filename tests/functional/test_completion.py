"""The completion scripts in the shells they are for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from image_tools.cli.catalogue import PAGES
from image_tools.cli.options import Group, Option, Page, VerbOptions
from image_tools.cli.verbs.completion import script_for
from tests.helpers.tools import program

ASK = """\
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
_image_tools
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "image-tools.bash"
    path.write_text(script_for("bash", PAGES))
    return path


def page(name: str, *options: str) -> Page[VerbOptions]:
    group = Group("", tuple(Option(name=o, help="", bare="true") for o in options))
    return Page(name=name, kind=VerbOptions, summary="", about="", groups=(group,))


def test_bash_name_of_two_words_is_offered_beside_options(tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_text(script_for("bash", [page("one", "x"), page("one more", "y")]))

    assert offered(path, "one", "") == ["more", "--x", "--help"]
    assert offered(path, "one", "--x", "") == ["--x", "--help"]
    assert offered(path, "one", "more", "") == ["--y", "--help"]


def bash(*words: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        ["bash", "--norc", "-c", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def offered(script: Path, *words: str, cwd: Path | None = None) -> list[str]:
    return bash(ASK, "bash", script, "image-tools", *words, cwd=cwd).split()


def test_bash_script_is_bound_to_the_command(script: Path) -> None:
    found = bash('set -eu; source "$1"; complete -p image-tools', "bash", script)

    assert found == "complete -F _image_tools image-tools\n"


CASES: dict[str, tuple[list[str], list[str]]] = {
    "command": (["insp"], ["inspect"]),
    "commands": (["co"], ["convert-list", "completion"]),
    "second-word": (["inspect", "l"], ["list"]),
    "no-second-word-behind-an-operand": (["inspect", "nginx", "l"], []),
    "option": (["mirror", "--dr"], ["--dry-run"]),
    "options-of-the-longer-name": (["inspect", "list", "--si"], ["--sizes"]),
    "help-option": (["list-tags", "--he"], ["--help"]),
    "choices": (["mirror", "--format", ""], ["table", "json"]),
    "choices-single-dash": (["mirror", "-format", "j"], ["json"]),
    "choices-behind-equals": (["inspect", "list", "--format", "=", "c"], ["csv"]),
    "choices-right-behind-equals": (["mirror", "--format", "="], ["table", "json"]),
    "equals-in-the-word": (["mirror", "--format=j"], ["--format=json"]),
    "boolean-behind-equals": (["mirror", "--tls-verify", "=", "f"], ["false"]),
    "no-boolean-behind-a-blank": (["list-tags", "--tls-verify", ""], []),
    "value-nobody-knows": (["mirror", "-j", ""], []),
    "operand": (["completion", ""], ["bash", "zsh", "fish"]),
    "options-where-no-operand-can-be": (["version", ""], ["--format", "--debug", "--help"]),
    "help": (["help", "del"], ["delete"]),
    "help-second-word": (["help", "inspect", ""], ["list"]),
    "unknown-command": (["nothing", ""], []),
}


@pytest.mark.parametrize(("words", "expected"), CASES.values(), ids=CASES)
def test_bash_offers_what_fits(words: list[str], expected: list[str], script: Path) -> None:
    assert offered(script, *words) == expected


@pytest.mark.parametrize("words", [["-f"], ["--file"], ["--file", "="], ["-failed"]])
def test_bash_offers_files(words: list[str], script: Path, tmp_path: Path) -> None:
    for name in ("list.txt", "list-two.txt", "other"):
        (tmp_path / name).touch()

    found = offered(script, "mirror", *words, "li", cwd=tmp_path)

    assert sorted(found) == ["list-two.txt", "list.txt"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_good_syntax_to_its_shell(shell: str, tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_text(script_for(shell, PAGES))

    done = subprocess.run([program(shell), "-n", path], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
