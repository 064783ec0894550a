from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.logins.auth_edit import with_login, without_logins
from image_tools.logins.auth_file import Credentials, parse_auth_file

LOGIN = Credentials("me", "secret:with:colons")
NEW = {"auth": "bWU6c2VjcmV0OndpdGg6Y29sb25z"}
OLD = {"auth": "eDp5"}
HUB = "https://index.docker.io/v1/"


@pytest.mark.parametrize(
    ("registry", "before", "after"),
    [
        pytest.param("r:5000", {}, {"r:5000": NEW}, id="first"),
        pytest.param("docker.io", {}, {HUB: NEW}, id="hub"),
        pytest.param("docker.io", {"docker.io": OLD}, {"docker.io": NEW}, id="hub-as-skopeo"),
        pytest.param("r.example", {"x.example": OLD}, {"x.example": OLD, "r.example": NEW}, id="2"),
        pytest.param(
            "r.example", {"r.example/team": OLD}, {"r.example/team": OLD, "r.example": NEW}
        ),
        pytest.param("r.example", {"https://r.example/v2/": OLD}, {"https://r.example/v2/": NEW}),
        pytest.param(
            "r.example", {"https://r.example": OLD, "r.example": OLD}, {"r.example": NEW}, id="both"
        ),
        pytest.param(
            "r.example",
            {"r.example": {"email": "a@b", "identitytoken": "t", **OLD}},
            {"r.example": {"email": "a@b", **NEW}},
            id="other-fields",
        ),
    ],
)
def test_with_login_changes_one_entry(
    registry: str, before: dict[str, object], after: dict[str, object]
) -> None:
    document = {"first": 1, "auths": before, "last": ["é"]}
    found = with_login(json.dumps(document).encode(), registry, LOGIN)

    assert json.loads(found) == {"first": 1, "auths": after, "last": ["é"]}
    assert list(json.loads(found)) == ["first", "auths", "last"]


def test_with_login_of_a_helper_is_a_mark_alone() -> None:
    content = json.dumps({"auths": {"r.example": OLD}}).encode()

    assert json.loads(with_login(content, "r.example", None)) == {"auths": {"r.example": {}}}


@pytest.mark.parametrize("content", [b"", b" \n", b"{}", b'{"auths": null}', b"\xef\xbb\xbf{}"])
def test_with_login_in_an_empty_file_is_the_only_one(content: bytes) -> None:
    found = with_login(content, "r.example", LOGIN)

    assert found == b'{\n\t"auths": {\n\t\t"r.example": {\n\t\t\t"auth": "%s"\n\t\t}\n\t}\n}\n' % (
        NEW["auth"].encode()
    )


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"auths": [1]}', b"\xff", b"[" * 99999])
def test_edits_of_no_auth_file_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever a parser says
        with_login(content, "r.example", LOGIN)
    with pytest.raises(ValueError):  # noqa: PT011
        without_logins(content, "r.example")


@pytest.mark.parametrize(
    ("registry", "left", "gone"),
    [
        ("r.example", {"r.example/team", HUB}, ("r.example", "https://r.example/v1/")),
        ("docker.io", {"r.example", "https://r.example/v1/", "r.example/team"}, (HUB,)),
        (None, set(), ("https://r.example/v1/", "r.example", "r.example/team", HUB)),
    ],
)
def test_without_logins_leaves_the_others(
    registry: str | None, left: set[str], gone: tuple[str, ...]
) -> None:
    keys = ("https://r.example/v1/", "r.example", "r.example/team", HUB)
    document = {"auths": dict.fromkeys(keys, OLD), "credsStore": "lab"}
    found, removed = without_logins(json.dumps(document).encode(), registry)

    assert json.loads(found) == {"auths": dict.fromkeys(left, OLD), "credsStore": "lab"}
    assert removed == gone


def test_without_logins_where_there_is_none_keeps_every_byte() -> None:
    content = b'{ "auths" : {"x":{}}}'

    assert without_logins(content, "r.example") == (content, ())


@given(st.text(st.characters(blacklist_characters=":\0", blacklist_categories=["Cs"]), min_size=1))
def test_with_login_is_read_back(name: str) -> None:
    login = Credentials(name, "p")
    file = parse_auth_file(with_login(b"", "r.example", login))

    assert file.auths == {"r.example": login}
