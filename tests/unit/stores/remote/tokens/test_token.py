"""Answers of token servers: the token, its life, what it grants."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.stores.remote.tokens.token import (
    Scope,
    Token,
    granted_rights,
    named_repository,
    parse_token,
    rights_of,
)


def jwt(claims: object) -> str:
    coded = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{coded}.c2ln"


def access(name: object, actions: object, kind: str = "repository") -> dict[str, object]:
    return {"type": kind, "name": name, "actions": actions}


ANSWERS = {
    "token": ({"token": "abc", "expires_in": 300}, Token("abc", 300.0)),
    "access-token": ({"access_token": "abc", "token": ""}, Token("abc", 60.0)),
    "token-goes-first": ({"access_token": "x", "token": "abc"}, Token("abc", 60.0)),
    "short": ({"token": "abc", "expires_in": 5}, Token("abc", 60.0)),
    "negative": ({"token": "abc", "expires_in": -1}, Token("abc", 60.0)),
    "life-as-text": ({"token": "abc", "expires_in": "120"}, Token("abc", 120.0)),
    "life-no-number": ({"token": "abc", "expires_in": "soon"}, Token("abc", 60.0)),
    "life-infinite": ({"token": "abc", "expires_in": float("inf")}, Token("abc", 60.0)),
    "life-too-long": ({"token": "abc", "expires_in": 1e12}, Token("abc", 2592000.0)),
    "odd-issued-at": ({"token": "abc", "issued_at": "yesterday"}, Token("abc", 60.0)),
}


@pytest.mark.parametrize(("answer", "token"), ANSWERS.values(), ids=ANSWERS)
def test_parse_token_answer_gives_token(answer: object, token: Token) -> None:
    assert parse_token(json.dumps(answer).encode()) == token


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"secret",
        b"[]",
        b"{}",
        b'{"token": 5}',
        b'{"token": "a\\r\\nb"}',
        b'{"token": "\xc3\xa9"}',
    ],
)
def test_parse_token_without_token_raises_value_error_without_text(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^no (JSON|JSON object|token in it)$") as caught:
        parse_token(body)

    assert caught.value.__cause__ is None


GRANTED = {
    "all": ([access("a/b", ["pull", "push"])], {("a/b", "pull"), ("a/b", "push")}),
    "star": ([access("a", ["*"])], {("a", "pull"), ("a", "push")}),
    "several": ([access("a", ["pull"]), access("b", [])], {("a", "pull")}),
    "other-kind": ([access("catalog", ["*"], "registry")], set()),
    "nothing": ([], set()),
    "actions-null": ([access("a", None)], set()),
    "malformed-entry": (["pull"], None),
    "malformed-name": ([access(5, ["pull"])], None),
    "malformed-actions": ([access("a", "pull")], None),
    "malformed-access": ("a", None),
    "null": (None, None),
}


@pytest.mark.parametrize(("claim", "rights"), GRANTED.values(), ids=GRANTED)
def test_granted_rights_access_claim_gives_pairs(
    claim: object, rights: set[tuple[str, str]] | None
) -> None:
    expected = None if rights is None else frozenset(rights)

    assert granted_rights(jwt({"access": claim})) == expected


@pytest.mark.parametrize(
    "token", ["opaque", "a.b", "a.!.c", "a.bm8.c", f"{jwt([])}", "a..c", "a.é.c"]
)
def test_granted_rights_no_jwt_is_none(token: str) -> None:
    assert granted_rights(token) is None


@given(st.text(), st.binary())
def test_granted_rights_any_text_never_fails(text: str, payload: bytes) -> None:
    inside = base64.urlsafe_b64encode(payload).decode()

    assert granted_rights(text) is None
    assert granted_rights(f"a.{inside}.b") in (None, frozenset())


NAMED = {
    "repository:a/b:pull,push": "a/b",
    "repository:a:*": "a",
    "repository(plugin):a/b:pull": "a/b",
    "repository:h:5000/a:pull": "h:5000/a",
    "registry:catalog:*": None,
    "repository:a:pull repository:b:pull": None,
    "": None,
}


@pytest.mark.parametrize(("scope", "name"), NAMED.items())
def test_named_repository_scope_gives_name(scope: str, name: str | None) -> None:
    assert named_repository(scope) == name


def test_scope_text_and_rights_follow_push() -> None:
    scopes = (Scope("a/b", push=True), Scope("c"))

    assert [str(scope) for scope in scopes] == ["repository:a/b:pull,push", "repository:c:pull"]
    assert rights_of(scopes) == {("a/b", "pull"), ("a/b", "push"), ("c", "pull")}


def test_scope_delete_is_asked_for_behind_the_others() -> None:
    assert str(Scope("a/b", push=True, delete=True)) == "repository:a/b:pull,push,delete"
