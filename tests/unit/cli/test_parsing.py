"""Every way to write an option, and what must not be taken for one."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_tools.cli.parsing import parse, separated
from image_tools.cli.verbs.mirror import MIRROR
from image_tools.errors import UsageError

SPELLINGS = {
    "nothing": ("", []),
    "short": ("-f list.txt", [("file", "list.txt")]),
    "short-equals": ("-f=list.txt", [("file", "list.txt")]),
    "short-attached": ("-flist.txt", [("file", "list.txt")]),
    "short-double-dash": ("--f list.txt", [("file", "list.txt")]),
    "short-number-attached": ("-j5", [("jobs", "5")]),
    "long": ("--file list.txt", [("file", "list.txt")]),
    "long-single-dash": ("-file list.txt", [("file", "list.txt")]),
    "long-single-dash-equals": ("-file=list.txt", [("file", "list.txt")]),
    "long-with-dash": ("-default-project team", [("default-project", "team")]),
    "alias": ("-output failed.txt", [("failed", "failed.txt")]),
    "switch": ("-debug", [("debug", "true")]),
    "switch-false": ("--debug=false", [("debug", "false")]),
    "switch-before-option": ("--tls-verify -j 2", [("tls-verify", "true"), ("jobs", "2")]),
    "optional-value": ("--wait-lock", [("wait-lock", "forever")]),
    "optional-value-given": ("--wait-lock=5m", [("wait-lock", "5m")]),
    "standard-input": ("-f -", [("file", "-")]),
    "negative-number": ("-j -1", [("jobs", "-1")]),
    "value-with-equals": ("-f a=b", [("file", "a=b")]),
    "empty-value": ("--failed=", [("failed", "")]),
    "separator-at-the-end": ("-debug --", [("debug", "true")]),
}


@pytest.mark.parametrize(("text", "expected"), SPELLINGS.values(), ids=SPELLINGS)
def test_separated_known_spelling_is_an_option_and_its_text(
    text: str, expected: list[tuple[str, str]]
) -> None:
    found, others = separated(text.split(), MIRROR.options)

    assert ([(option.name, text) for option, text in found], others) == (expected, [])


MISTAKES = {
    "misspelt": ("--fiel x", "unknown option --fiel, did you mean --file?"),
    "misspelt-single-dash": ("-debgu", "unknown option -debgu, did you mean --debug?"),
    "misspelt-with-value": ("-destinaton=reg:5000", "-destinaton, did you mean --destination?"),
    "unlike-anything": ("--zzzz", "unknown option --zzzz"),
    "three-dashes": ("---file x", "unknown option ---file, did you mean --file?"),
    "only-equals": ("-=x", "unknown option -"),
    "value-missing": ("--file", "--file needs a value"),
    "value-is-an-option": ("-f -debug", "one that begins with a dash: -f=-debug"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_separated_mistake_says_what_to_write(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        separated(text.split(), MIRROR.options)

    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("list.txt", "unexpected argument 'list.txt'"),
        ("-- list.txt", "unexpected argument 'list.txt'"),
        ("--tls-verify false", "unexpected argument 'false': write --option=false"),
        ("''", "unexpected argument ''"),
    ],
)
def test_parse_stray_word_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(MIRROR, shlex.split(text), {})

    assert caught.value.message == message


@given(st.lists(st.text(alphabet="-=fjdx1 é\n", max_size=6), max_size=4))
@settings(max_examples=50)
def test_separated_any_words_lose_none(words: list[str]) -> None:
    try:
        found, others = separated(words, MIRROR.options)
    except UsageError:
        return

    assert len(others) <= len(words) <= 2 * len(found) + len(others) + 1
