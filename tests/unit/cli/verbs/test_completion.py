"""Completion scripts say all that the pages say."""

from __future__ import annotations

import pytest

from image_tools.cli.app import main
from image_tools.cli.catalogue import PAGES
from image_tools.cli.options import Group, Option, Page, VerbOptions, operand
from image_tools.cli.verbs.completion import SHELLS, script_for


class OneWord(VerbOptions):
    word: str = operand("WORD", "")


FIRST = Page(
    name="one",
    kind=OneWord,
    summary="do [it]: one's way",
    about="",
    groups=(
        Group(
            "",
            (
                Option(name="file", short="f", metavar="FILE", help="it's a [file]: x"),
                Option(name="kind", metavar="KIND", help="kind", choices=("a", "b")),
                Option(name="on", help="on", bare="true", default="false"),
                Option(name="wait", metavar="TIME", help="wait", bare="forever"),
            ),
        ),
    ),
)
SECOND = Page(name="one more", kind=VerbOptions, summary="more", about="", groups=())


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_names_every_command_and_option(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell], {}) == 0

    script = capsys.readouterr().out
    dashes = "-l " if shell == "fish" else "--"
    assert script.startswith("#compdef" if shell == "zsh" else f"# {shell} completion")
    for page in PAGES:
        assert all(word in script for word in page.name.split())
        assert all(f"{dashes}{option.name}" in script for option in page.options)
        assert all(" ".join(option.choices) in script for option in page.options)


def test_completion_zsh_escapes_what_has_a_meaning() -> None:
    lines = [line.strip() for line in script_for("zsh", [FIRST, SECOND]).splitlines()]

    assert "'one:do [it]: one'\\''s way'" in lines
    about = "[it'\\''s a \\[file\\]\\: x]:FILE:_files'"
    assert f"'(-f --file)-f+{about} '(-f --file)--file={about} \\" in lines
    assert "'--kind=[kind]:KIND:(a b)' \\" in lines
    assert "'--on=-[on]::BOOL:(true false)' \\" in lines
    assert "'--wait=-[wait]::TIME: ' \\" in lines
    assert "':WORD:(more)' \\" in lines


def test_completion_fish_has_a_condition_for_each_command() -> None:
    one = "__fish_seen_subcommand_from one; and not __fish_seen_subcommand_from more"

    assert script_for("fish", [FIRST, SECOND]).splitlines()[2:] == [
        "complete -c image-tools -n '__fish_use_subcommand' -a one -d 'do [it]: one\\'s way'",
        "complete -c image-tools -n '__fish_use_subcommand' -a help"
        " -d 'show the help of a command'",
        "complete -c image-tools -n '__fish_seen_subcommand_from help' -a 'one help'",
        f"complete -c image-tools -n '{one}' -a 'more'",
        f"complete -c image-tools -n '{one}' -s f -l file -r -F -d 'it\\'s a [file]: x'",
        f"complete -c image-tools -n '{one}' -l kind -x -a 'a b' -d 'kind'",
        f"complete -c image-tools -n '{one}' -l on -d 'on'",
        f"complete -c image-tools -n '{one}' -l wait -d 'wait'",
    ]
