"""Secrets never stay in a text."""

from __future__ import annotations

import base64

import pytest

from image_tools.web.redaction import Secrets

BASIC = base64.b64encode(b"me:hunter 22").decode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password hunter 22!", "password ***!"),
        ("?password=hunter%2022&x", "?password=***&x"),
        (f"Basic {BASIC}", "Basic ***"),
        ("hunter 2", "hunter 2"),
        ("hunter 22 hunter 22", "*** ***"),
    ],
)
def test_secret_is_hidden_in_all_its_forms(text: str, shown: str) -> None:
    secrets = Secrets()
    secrets.add("hunter 22", "me")

    assert secrets.hidden(text) == shown


def test_secret_that_contains_another_one_is_hidden_as_a_whole() -> None:
    secrets = Secrets()
    secrets.add("hunter")
    secrets.add("hunter22")

    assert secrets.hidden("hunter22 hunter") == "*** ***"


def test_short_secret_hides_nothing_and_a_cleared_one_no_more() -> None:
    secrets = Secrets()
    secrets.add("abc")
    secrets.add("hunter22")
    secrets.clear()

    assert secrets.hidden("abc hunter22") == "abc hunter22"


def test_secret_of_bytes_that_are_no_text_is_hidden() -> None:
    secrets = Secrets()
    secrets.add("caf\udce9-secret")

    assert secrets.hidden("caf\udce9-secret caf%E9-secret") == "*** ***"
