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
    parse_auth_file,
    registry_of_key,
)


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
