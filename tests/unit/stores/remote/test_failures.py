"""What an answer that is no success means."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.errors import (
    CopyFailed,
    DigestMismatch,
    DiskFull,
    ImageToolsError,
    NotFound,
    RateLimited,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnknownFailure,
)
from image_tools.stores.remote.api import ApiAnswer, retry_after
from image_tools.stores.remote.failures import failure

HTML = {"Content-Type": "text/html; charset=utf-8"}
DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
DATE_SECONDS = 1792567680.0


def said(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


@pytest.mark.parametrize(
    ("refusal", "kind", "temporary", "text"),
    [
        (
            ApiAnswer(401, {}, said("UNAUTHORIZED", "who?")),
            Unauthorized,
            False,
            "UNAUTHORIZED: who?",
        ),
        (ApiAnswer(403, HTML, b"<html>"), Unavailable, False, "403, answered with a web page"),
        (ApiAnswer(404, {}, said("NAME_UNKNOWN", "")), NotFound, False, "404 NAME_UNKNOWN"),
        (ApiAnswer(404, HTML, b"<html>"), Unavailable, True, "this is not a registry"),
        (ApiAnswer(200, HTML), Unavailable, True, "this is not a registry"),
        (ApiAnswer(308, {}), Unavailable, True, "unexpected answer (308)"),
        (ApiAnswer(408, {}), TimedOut, True, "timed out"),
        (ApiAnswer(400, {}, said("DIGEST_INVALID", "x")), DigestMismatch, True, "different bytes"),
        (ApiAnswer(400, {}, said("MANIFEST_INVALID", "y")), UnknownFailure, False, "refused"),
        (ApiAnswer(403, {}, said("TOOMANYREQUESTS", "z")), RateLimited, True, "too many requests"),
        (ApiAnswer(413, HTML), UnknownFailure, False, "too large"),
        (
            ApiAnswer(500, {}, said("UNKNOWN", "No space left on device")),
            DiskFull,
            False,
            "no space",
        ),
        (ApiAnswer(507, {}), DiskFull, False, "no space"),
        (ApiAnswer(503, {}, b"upstream\n  down"), Unavailable, True, "503 upstream down"),
        (ApiAnswer(400, {}, b'{"message":"a\\u0007b"}'), UnknownFailure, False, "400 a b"),
        (ApiAnswer(400, {}, b"[" * 100_000), UnknownFailure, False, "400 [[["),
    ],
)
def test_failure_of_a_refusal(
    refusal: ApiAnswer, kind: type[ImageToolsError], temporary: bool, text: str
) -> None:
    found = failure(refusal, "r/a:v1", doing="reading")

    assert type(found) is kind
    assert (found.temporary, found.message.startswith("r/a:v1: ")) == (temporary, True)
    assert text in found.message
    assert len(found.message) < 500


def test_failure_keeps_status_and_the_wish_for_rest() -> None:
    found = failure(ApiAnswer(429, {"Retry-After": "7"}), "r/a")

    assert isinstance(found, CopyFailed)
    assert (found.status, found.retry_after) == (429, 7.0)
    assert "retry after 7 s" in found.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", 3.0),
        (" 0 ", 0.0),
        (DATE, 60.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("٣", None),
        ("9" * 40, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, expected: float | None) -> None:
    assert retry_after(text, DATE_SECONDS - 60) == expected


@given(st.text())
def test_retry_after_of_any_text_never_fails(text: str) -> None:
    found = retry_after(text, 0.0)
    assert found is None or found >= 0


@given(st.binary(), st.integers(100, 599))
def test_failure_of_any_body_is_explained_on_one_line(body: bytes, status: int) -> None:
    assert "\n" not in failure(ApiAnswer(status, {}, body), "r/a").message
