"""No secret and no terminal control survives, whatever surrounds it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.cli import redact

SECRETS = st.text(alphabet="abcXYZ019+/:@ %é.-_~\"'", min_size=6, max_size=24).filter(
    lambda text: text.strip() == text and len(set(text)) > 2
)


@pytest.fixture(autouse=True)
def _no_secrets_left() -> Iterator[None]:
    redact.forget_secrets()
    yield
    redact.forget_secrets()


@given(secret=SECRETS, before=st.text(max_size=20), after=st.text(max_size=20))
def test_redacted_known_secret_never_survives(secret: str, before: str, after: str) -> None:
    redact.forget_secrets()
    redact.add_secret(secret, "user")
    basic = base64.b64encode(f"user:{secret}".encode()).decode()

    for form in (secret, quote(secret, safe=""), basic):
        assert form not in redact.clean(f"{before}{form}{after}")


def test_redacted_secret_inside_another_goes_as_a_whole() -> None:
    redact.add_secret("pass")
    redact.add_secret("password-of-mine")

    assert redact.redacted("a password-of-mine, a pass") == "a ***, a ***"


def test_redacted_short_secret_leaves_sentences_alone() -> None:
    redact.add_secret("abc")

    assert redact.redacted("abc of the alphabet") == "abc of the alphabet"


PATTERNS = {
    "basic": ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic ***"),
    "bearer": ("authorization=Bearer abc.def-ghi", "authorization=Bearer ***"),
    "json": ('{"Authorization": "Bearer abc.def"}', '{"Authorization": "Bearer ***"}'),
    "other-scheme": ("Authorization: abcdef", "Authorization: ***"),
    "lone-bearer": (f"bearer {'x' * 24}==", "bearer ***"),
    "bearer-in-prose": ("a bearer token is needed", "a bearer token is needed"),
    "token-in-url": ("GET /v2/?token=abc&scope=x", "GET /v2/?token=***&scope=x"),
    "token-in-json": ('"access_token":"abc"', '"access_token":"***"'),
    "upload-state": ("/v2/a/blobs/uploads/1?_state=abc", "/v2/a/blobs/uploads/1?_state=***"),
    "userinfo": ("https://user:secret@reg.example/v2/", "https://user:***@reg.example/v2/"),
    "token-as-user": ("https://:secret@reg.example/", "https://:***@reg.example/"),
    "port-is-no-secret": ("docker://reg:5000/a@sha256:abc", "docker://reg:5000/a@sha256:abc"),
    "digest-stays": (f"a@sha256:{'0' * 64}", f"a@sha256:{'0' * 64}"),
}


@pytest.mark.parametrize(("text", "expected"), PATTERNS.values(), ids=PATTERNS)
def test_redacted_credential_patterns_are_hidden(text: str, expected: str) -> None:
    assert redact.redacted(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdevice\x1b\\text", "text"),
        ("\x9b2Jtext", "text"),
        ("a\r\nb\tc\n", "a\nb\tc\n"),
        ("a\rb\x08\x00", "ab"),
        ("evil\u202etxt", "eviltxt"),
        ("mirror 镜像 é", "mirror 镜像 é"),
    ],
)
def test_plain_terminal_control_is_taken_out(text: str, expected: str) -> None:
    assert redact.plain(text) == expected


@given(st.text())
def test_plain_any_text_holds_no_control_but_line_ends_and_tabs(text: str) -> None:
    assert not {chr(code) for code in (*range(9), *range(11, 32), *range(127, 160))} & set(
        redact.plain(text)
    )
