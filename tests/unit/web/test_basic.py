"""Basic authentication (RFC 7617)."""

from __future__ import annotations

import pytest

from image_tools.web.basic import basic_authorization, encoded_login


@pytest.mark.parametrize(
    ("username", "password", "word"),
    [
        ("Aladdin", "open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),  # RFC 7617 section 2
        ("test", "123£", "dGVzdDoxMjPCow=="),  # section 2.1, in UTF-8
        ("me", "a:b", "bWU6YTpi"),
        ("", "", "Og=="),
    ],
)
def test_login_is_one_word(username: str, password: str, word: str) -> None:
    assert encoded_login(username, password) == word
    assert basic_authorization(username, password) == f"Basic {word}"
