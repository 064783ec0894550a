"""Which command is meant, and that every command is there."""

from __future__ import annotations

from typing import Any

import pytest

from image_tools.cli.catalogue import PAGES, page_of
from image_tools.cli.help import command_help
from image_tools.cli.options import Page, declared
from image_tools.cli.parsing import parse
from image_tools.errors import UsageError


@pytest.mark.parametrize(
    ("words", "name", "rest"),
    [
        ("mirror -f x", "mirror", ("-f", "x")),
        ("inspect nginx", "inspect", ("nginx",)),
        ("inspect list -f x", "inspect list", ("-f", "x")),
        ("inspect list", "inspect list", ()),
        ("inspect --raw list", "inspect", ("--raw", "list")),
        ("list-tags x", "list-tags", ("x",)),
    ],
)
def test_page_of_words_is_the_longest_name(words: str, name: str, rest: tuple[str, ...]) -> None:
    page, found = page_of(words.split())

    assert (page.name, found) == (name, rest)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("list-tag", "unknown command 'list-tag', did you mean list-tags?"),
        ("-f", "-f stands before the command"),
        ("list", "unknown command 'list'"),
    ],
)
def test_page_of_no_command_is_refused(word: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        page_of([word])

    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_has_its_function_and_keeps_to_its_width(page: Page[Any]) -> None:
    text = command_help(page, 80)

    assert page.run.__name__ == page.name.replace("-", "_").replace(" ", "_")
    assert max(map(len, text.splitlines())) <= 80
    assert all(operand.metavar in text.splitlines()[0] for operand in page.operands)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_names_its_options_once(page: Page[Any]) -> None:
    names = [name for o in page.options for name in (o.short, o.name, *o.aliases) if name]

    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_field_of_the_options_is_on_the_page(page: Page[Any]) -> None:
    shown = {option.key for option in page.options} | {operand.name for operand in page.operands}

    assert declared(page.kind).keys() == shown


PAGE = {page.name: page for page in PAGES}
REFUSED = [
    ("list-tags", "", "list-tags needs REPOSITORY"),
    ("list-tags", "a b", "unexpected argument 'b'"),
    ("list-tags", "a --debug false", "unexpected argument 'false': write --option=false"),
    ("inspect", "--raw", "inspect needs REF"),
    ("completion", "csh", "'csh' is unknown: write bash, zsh, fish"),
    ("inspect list", "", "inspect list needs --file FILE"),
    ("convert-list", "-i=", "convert-list needs --input FILE"),
    ("list-tags", "a --filter (", "'(' is no regular expression"),
    ("inspect list", "-f x --format xml", "'xml' is unknown: write table, json or csv"),
]


@pytest.mark.parametrize(("name", "text", "message"), REFUSED)
def test_parse_wrong_words_are_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(PAGE[name], text.split(), {})

    assert message in caught.value.message
    assert caught.value.advice == f"see image-tools {name} --help"


@pytest.mark.parametrize(
    "text", ["--raw x/y:1 -format=json", "x/y:1 -raw --format json", "-raw -- x/y:1"]
)
def test_parse_operand_may_stand_anywhere(text: str) -> None:
    found = parse(PAGE["inspect"], text.split(), {"IMAGE_TOOLS_FORMAT": "json"})

    assert (found.reference, found.raw, found.format) == ("x/y:1", True, "json")


def test_parse_required_option_may_be_a_variable() -> None:
    found = parse(PAGE["inspect list"], [], {"IMAGE_TOOLS_FILE": "list.txt"})

    assert (found.file, found.given) == ("list.txt", frozenset())
