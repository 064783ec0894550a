"""One question to a token server: what is sent, what an answer means, where no login goes."""

from __future__ import annotations

import asyncio

import pytest
from yarl import URL

from image_tools.errors import (
    CopyFailed,
    RateLimited,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnknownFailure,
)
from image_tools.logins.auth_file import Credentials
from image_tools.stores.remote.api import ApiAnswer
from image_tools.stores.remote.tokens.challenge import Challenge
from image_tools.stores.remote.tokens.realm import (
    MOST_BYTES,
    Realm,
    ask_realm,
    basic_header,
    realm_of,
    refused,
    scope_length,
)
from image_tools.stores.remote.tokens.token import Scope, Token
from image_tools.web.connect import Request
from tests.helpers.realm import MemoryRealm, refusal

REALM = Realm("r.example", URL("https://auth.example/token"), "r service")
SCOPES = (Scope("a/b", push=True), Scope("c"))
LOGIN = Credentials("me", "pass")


def asked(credentials: Credentials | None, realm: Realm = REALM) -> Request:
    server = MemoryRealm()
    token = asyncio.run(ask_realm(realm, SCOPES, credentials, server.ask))
    assert token == Token("token-1", 300.0)
    assert server.released == 1
    return server.requests[0]


QUERY = "service=r+service&scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository%3Ac%3Apull"


@pytest.mark.parametrize(
    ("credentials", "header"),
    [(None, None), (LOGIN, "Basic bWU6cGFzcw==")],
    ids=["anonymous", "basic"],
)
def test_ask_realm_with_password_is_a_get(
    credentials: Credentials | None, header: str | None
) -> None:
    url = URL(f"https://auth.example/token?{QUERY}", encoded=True)

    assert asked(credentials) == Request(
        method="GET", url=url, reference="r.example", authorization=header
    )


def test_ask_realm_with_query_of_its_own_keeps_it() -> None:
    realm = Realm("r.example", URL("https://auth.example/token?tenant=a%20b"))

    assert str(asked(None, realm).url).startswith("https://auth.example/token?tenant=a%20b&scope=")


def test_ask_realm_with_identity_token_is_an_oauth_post() -> None:
    request = asked(Credentials("0-0", "", "refresh&token"))

    assert (request.method, str(request.url), request.authorization) == (
        "POST",
        "https://auth.example/token",
        None,
    )
    assert request.body == (
        b"grant_type=refresh_token&refresh_token=refresh%26token&service=r+service"
        b"&client_id=image-tools&scope=repository%3Aa%2Fb%3Apull%2Cpush+repository%3Ac%3Apull"
    )
    assert "refresh" not in repr(request)


REALMS = {
    "https": ({"realm": "https://a.example/t", "service": "s"}, "https://a.example/t"),
    "http": ({"realm": "http://a.example/t"}, "http://a.example/t"),
    "login-and-fragment": ({"realm": "https://x:y@a.example/t#f"}, "https://a.example/t"),
    "missing": ({}, None),
    "relative": ({"realm": "/token"}, None),
    "other-scheme": ({"realm": "file:///etc/passwd"}, None),
    "no-host": ({"realm": "https:///token"}, None),
    "damaged": ({"realm": "https://[::1/token"}, None),
    "empty-brackets": ({"realm": "https://[]@"}, None),
}


@pytest.mark.parametrize(("parameters", "url"), REALMS.values(), ids=REALMS)
def test_realm_of_bearer_challenge_gives_url(parameters: dict[str, str], url: str | None) -> None:
    realm = realm_of(Challenge("bearer", parameters), "r.example")

    assert realm == (url and Realm("r.example", URL(url), parameters.get("service", "")))


OWN_DOORS = {
    "its-own-host": ("r.example", "http://r.example/t?a=%2F", "https://r.example/t?a=%2F"),
    "its-own-port": ("r.example:5000", "http://r.example:5000/t", "https://r.example:5000/t"),
    "another-port": ("r.example:5000", "http://r.example/t", "http://r.example/t"),
    "another-host": ("r.example", "http://auth.example/t", "http://auth.example/t"),
    "loopback": ("127.0.0.1:5000", "http://127.0.0.1:5000/t", "http://127.0.0.1:5000/t"),
}


@pytest.mark.parametrize(("registry", "url", "kept"), OWN_DOORS.values(), ids=OWN_DOORS)
def test_realm_of_a_registry_asked_over_tls_stays_in_tls(
    registry: str, url: str, kept: str
) -> None:
    challenge = Challenge("bearer", {"realm": url})

    assert realm_of(challenge, registry) == Realm(registry, URL(kept))
    assert realm_of(challenge, registry, allows_plain=True) == Realm(registry, URL(url))


def test_realm_of_basic_challenge_is_none() -> None:
    assert realm_of(Challenge("basic", {"realm": "https://a.example"}), "r.example") is None


SAFE = {
    "tls": ("r.example", "https://auth.example/t", True),
    "plain": ("r.example", "http://auth.example/t", False),
    "plain-same-host": ("r.example:5000", "http://r.example/t", False),
    "plain-sub-domain": ("r.example", "http://auth.r.example/t", False),
    "plain-loopback": ("r.example", "http://127.0.0.1:5001/t", True),
    "plain-same-ipv6": ("[2001:db8::1]:5000", "http://[2001:db8::1]/t", False),
}


@pytest.mark.parametrize(("registry", "url", "safe"), SAFE.values(), ids=SAFE)
def test_realm_is_safe_only_where_a_login_may_go(registry: str, url: str, safe: bool) -> None:
    assert Realm(registry, URL(url)).is_safe() is safe


BASIC = {
    "login": (LOGIN, "Basic bWU6cGFzcw=="),
    "unicode": (Credentials("me", "é"), "Basic bWU6w6k="),
    "empty-password": (Credentials("me"), "Basic bWU6"),
    "identity-token": (Credentials("me", "", "t"), None),
    "no-name": (Credentials("", "pass"), None),
    "none": (None, None),
}


@pytest.mark.parametrize(("credentials", "header"), BASIC.values(), ids=BASIC)
def test_basic_header_of_credentials(credentials: Credentials | None, header: str | None) -> None:
    assert basic_header(credentials) == header


PASSING = {
    "limited": (refusal(429, Retry_After="7"), RateLimited, 7.0),
    "failed": (refusal(503), Unavailable, None),
    "too-slow": (refusal(408), TimedOut, None),
    "moved": ((302, {}, b""), Unavailable, None),
    "web-page": ((200, {"Content-Type": "text/html"}, b"<html>"), Unavailable, None),
    "no-token": ((200, {}, b"{}"), Unavailable, None),
    "too-large": ((200, {}, b"x" * (MOST_BYTES + 1)), Unavailable, None),
}


@pytest.mark.parametrize(("reply", "kind", "rest"), PASSING.values(), ids=PASSING)
def test_ask_realm_failure_that_may_pass_is_raised(
    reply: tuple[int, dict[str, str], bytes], kind: type[CopyFailed], rest: float | None
) -> None:
    server = MemoryRealm(rule=lambda scopes: reply)

    with pytest.raises(kind) as caught:
        asyncio.run(ask_realm(REALM, SCOPES, LOGIN, server.ask))

    assert (caught.value.temporary, caught.value.retry_after, server.released) == (True, rest, 1)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 414])
def test_ask_realm_lasting_refusal_is_given_back(status: int) -> None:
    reply = refusal(status)
    server = MemoryRealm(rule=lambda scopes: reply)

    assert asyncio.run(ask_realm(REALM, SCOPES, LOGIN, server.ask)) == ApiAnswer(*reply)


REFUSED = {
    "password": (LOGIN, 401, Unauthorized, "wrong user name or password, says the token server"),
    "identity-token": (Credentials("", "", "t"), 401, Unauthorized, "does not accept the identity"),
    "no-right": (LOGIN, 403, Unauthorized, "issues no token to this login"),
    "anonymous": (None, 401, Unauthorized, "requires a login"),
    "not-found": (LOGIN, 404, UnknownFailure, "issued no token"),
}


@pytest.mark.parametrize(("credentials", "status", "kind", "said"), REFUSED.values(), ids=REFUSED)
def test_refused_names_realm_and_its_words(
    credentials: Credentials | None, status: int, kind: type[CopyFailed], said: str
) -> None:
    error = refused(REALM, ApiAnswer(status, {}, b"you said pass"), credentials)

    words = "you said ***" if credentials is LOGIN else "you said pass"
    assert (type(error), error.temporary, error.status) == (kind, False, status)
    assert error.message.startswith("r.example: ")
    assert said in error.message
    assert "auth.example" in error.message
    assert f"({status} {words})" in error.message


def test_scope_length_is_that_of_its_part_of_the_query() -> None:
    assert sum(map(scope_length, SCOPES)) == len(QUERY.partition("&")[2]) + 1
