"""Auth files: which login an entry is, and which entry a repository gets."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.logins.auth_file import (
    AuthFile,
    Credentials,
    auth_document,
    parse_auth_file,
    registry_of_key,
    with_login,
    without_logins,
)

LOGIN = Credentials("me", "secret:with:colons")
NEW = {"auth": "bWU6c2VjcmV0OndpdGg6Y29sb25z"}
OLD = {"auth": "eDp5"}
HUB = "https://index.docker.io/v1/"


def coded(pair: str) -> str:
    return base64.b64encode(pair.encode()).decode()


ENTRIES = {
    "auth": ({"auth": coded("me:pass")}, Credentials("me", "pass")),
    "auth-colon-in-password": ({"auth": coded("me:a:b:c")}, Credentials("me", "a:b:c")),
    "auth-no-padding": ({"auth": coded("me:pw1").rstrip("=")}, Credentials("me", "pw1")),
    "auth-broken-lines": ({"auth": "bWU6\ncGFz\r\ncw=="}, Credentials("me", "pass")),
    "auth-nul-padded": ({"auth": coded("me:pass\0\0")}, Credentials("me", "pass")),
    "auth-unicode": ({"auth": coded("mé:pässwörd")}, Credentials("mé", "pässwörd")),
    "auth-goes-before-fields": (
        {"auth": coded("me:pass"), "username": "x", "password": "y"},
        Credentials("me", "pass"),
    ),
    "fields": ({"username": "me", "password": "pass"}, Credentials("me", "pass")),
    "identity-token": (
        {"auth": coded("0-0:"), "identitytoken": "refresh"},
        Credentials("0-0", "", "refresh"),
    ),
    "damaged-base64": ({"auth": "!!!"}, None),
    "damaged-no-colon": ({"auth": coded("nothing")}, None),
    "damaged-not-text": ({"auth": 5}, None),
    "damaged-not-unicode": ({"auth": base64.b64encode(b"\xff:\xfe").decode()}, None),
    "damaged-no-object": ("text", None),
    "damaged-password-alone": ({"password": "pass"}, None),
}


@pytest.mark.parametrize(("entry", "login"), ENTRIES.values(), ids=ENTRIES)
def test_parse_auth_file_entry_gives_login(entry: object, login: Credentials | None) -> None:
    content = json.dumps({"auths": {"r.example": entry}}).encode()

    assert parse_auth_file(content).auths == {"r.example": login}


@pytest.mark.parametrize("content", [b"", b" \n", b"{}", b'{"auths": null}', b"\xef\xbb\xbf{}"])
def test_parse_auth_file_nothing_in_it_is_empty(content: bytes) -> None:
    assert parse_auth_file(content) == AuthFile()


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"\xff",
        b'{"auths": 1}',
        b'{"credsStore": 1}',
        b'{"credHelpers": {"r": 1}}',
        b'{"auths":' * 5000,
    ],
)
def test_parse_auth_file_damaged_raises_value_error(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's, Unicode's or ours
        parse_auth_file(content)


def test_parse_auth_file_helpers_are_kept_unless_empty() -> None:
    content = b'{"credsStore": "pass", "credHelpers": {"a.example": "ecr-login", "b.example": ""}}'

    assert parse_auth_file(content) == AuthFile({}, {"a.example": "ecr-login"}, "pass")


def test_credentials_repr_shows_no_secret() -> None:
    login = Credentials("me", "secret-1", "secret-2")

    assert "secret" not in repr((login, AuthFile({"r": login})))


KEYS = {
    "host": ("r.example:5000", "r.example:5000"),
    "scheme": ("https://R.example", "r.example"),
    "plain-scheme-path": ("http://r.example:80/some/where", "r.example:80"),
    "api-v1": ("https://r.example/v1/", "r.example"),
    "api-v2-no-scheme": ("r.example/v2/", "r.example"),
    "namespace": ("r.example/team/app", "r.example/team/app"),
    "hub": ("https://index.docker.io/v1/", "docker.io"),
    "hub-host": ("registry-1.docker.io", "docker.io"),
}


@pytest.mark.parametrize(("key", "registry"), KEYS.values(), ids=KEYS)
def test_registry_of_key_spelling_gives_registry(key: str, registry: str) -> None:
    assert registry_of_key(key) == registry


LOOKUPS = {
    "longest": (["r.io", "r.io/a", "r.io/a/b"], "r.io", "a/b", "r.io/a/b"),
    "shorter": (["r.io", "r.io/a", "r.io/a/b"], "r.io", "a/c/d", "r.io/a"),
    "registry": (["r.io/a", "r.io"], "r.io", "b", "r.io"),
    "part-of-a-name": (["r.io/a"], "r.io", "ab", None),
    "exact-before-normalised": (["https://r.io/v1/", "r.io"], "r.io", "a", "r.io"),
    "normalised": (["x.io", "https://r.io/v2/"], "r.io", "a", "https://r.io/v2/"),
    "other-port": (["r.io:5000"], "r.io", "a", None),
    "hub-plain": (["docker.io"], "docker.io", "library/a", "docker.io"),
    "hub-docker": (
        ["index.docker.io", "https://index.docker.io/v1/"],
        "docker.io",
        "library/a",
        "https://index.docker.io/v1/",
    ),
    "hub-namespace": (["docker.io", "docker.io/me"], "docker.io", "me/a", "docker.io/me"),
    "hub-other-name": (["registry-1.docker.io"], "docker.io", "a", "registry-1.docker.io"),
    "hub-asked-by-other-name": (["docker.io"], "registry-1.docker.io", "a/b", "docker.io"),
    "ipv6": (["[::1]:5000"], "[::1]:5000", "a", "[::1]:5000"),
}


@pytest.mark.parametrize(("keys", "registry", "repository", "found"), LOOKUPS.values(), ids=LOOKUPS)
def test_login_key_nearest_entry_wins(
    keys: list[str], registry: str, repository: str, found: str | None
) -> None:
    file = AuthFile(dict.fromkeys(keys, Credentials("me", "pass")))

    assert file.login_key(registry, repository) == found


@given(st.recursive(st.none() | st.booleans() | st.text(), lambda inner: st.dictionaries(
    st.sampled_from(["auths", "r.io", "auth", "username", "credHelpers", "credsStore"]), inner
)))  # fmt: skip
def test_parse_auth_file_any_json_is_read_or_refused(document: object) -> None:
    try:
        file = parse_auth_file(json.dumps(document).encode())
    except ValueError:
        return

    assert file.login_key("r.io", "a") in {None, *file.auths}


def test_auth_file_registries_are_those_of_logins_helpers_and_marks() -> None:
    file = parse_auth_file(
        b'{"auths": {"https://index.docker.io/v1/": {}, "a.example/team": {"auth": "eDp5"}},'
        b' "credHelpers": {"b.example:5000": "lab"}, "credsStore": "lab"}'
    )

    assert file.marks == {"https://index.docker.io/v1/"}
    assert file.registries == {"docker.io", "a.example", "b.example:5000"}


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


def test_auth_document_holds_every_login_as_docker_writes_it() -> None:
    content = auth_document(
        {
            "127.0.0.1:5000": Credentials("ü", "p:w"),
            "b.example": Credentials("", ""),
            "docker.io": Credentials("", identity_token="word"),
        }
    )
    token_user = base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode()

    assert json.loads(content) == {
        "auths": {
            "127.0.0.1:5000": {"auth": "w7w6cDp3"},
            "b.example": {"auth": "Og=="},
            HUB: {"auth": token_user, "identitytoken": "word"},
        }
    }
