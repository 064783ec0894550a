"""One question to a token server (distribution spec, "Token" and "OAuth2 Token Authentication")."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from image_tools.errors import CopyFailed, TlsProblem, Unauthorized, Unavailable, UnknownFailure
from image_tools.logins.auth_file import Credentials
from image_tools.stores.remote.failures import Refusal, failure, permanent
from image_tools.stores.remote.tokens.answer import Scope, Token, parse_token
from image_tools.stores.remote.tokens.challenge import Challenge
from image_tools.web.address import NO_URL, is_usable
from image_tools.web.basic import basic_authorization
from image_tools.web.connect import Request, network_failure
from image_tools.web.patience import in_time, read_up_to
from image_tools.web.tls import is_loopback

MOST_BYTES = 64 * 1024
MOST_SECONDS = 120.0
_CLIENT = "image-tools"
_PASSING = frozenset({408, 425, 429})
# How servers answer that know no POST: 404 by the specification; Gitea 405, JFrog 401 (containerd's
# authorizer lists them), 403 where the path is guarded.
NO_POST = frozenset({401, 403, 404, 405, 501})
_FORBIDDEN, _PROXY_LOGIN = 403, 407
_NOT_THERE = frozenset({404, 405, 501})
# The user name of a login that is only a token, as docker writes it.
_TOKEN_USER = "<token>"

Ask = Callable[[Request], Awaitable[aiohttp.ClientResponse]]


@dataclass(frozen=True, slots=True)
class Realm:
    """Where tokens for `registry` come from, and the name it has there."""

    registry: str
    url: URL
    service: str = ""

    def is_safe(self) -> bool:
        """Whether a login may be sent: TLS, or loopback."""
        return self.url.scheme == "https" or is_loopback(self.url.host or "")


def host_of(registry: str) -> str:
    """The host of `registry` without port and brackets; empty when there is none."""
    try:
        return URL(f"http://{registry}").host or ""
    except NO_URL:
        return ""


def realm_of(challenge: Challenge, registry: str, *, allows_plain: bool = False) -> Realm | None:
    """The token server a Bearer challenge names; None when it names none over http or https.

    A registry behind a proxy that ends TLS often names `http://` and its own host: unless plain
    HTTP is allowed, TLS is kept there.
    """
    if challenge.scheme != "bearer":
        return None
    try:
        url = URL(challenge.parameters.get("realm", ""))
        if not is_usable(url):
            return None
    except NO_URL:
        return None
    if url.scheme == "http" and not allows_plain and _is_own_door(url, registry):
        url = URL(f"https{str(url)[len('http') :]}", encoded=True)
    # A login in the address would go to the server in place of ours.
    return Realm(
        registry, url.with_user(None).with_fragment(None), challenge.parameters.get("service", "")
    )


def _is_own_door(url: URL, registry: str) -> bool:
    """Whether a plain `url` is the registry itself, as it is asked over TLS."""
    own = URL(f"https://{registry}") if host_of(registry) else URL()
    if is_loopback(own.host or "") or url.host != own.host:
        return False
    return own.port == url.port or (own.is_default_port() and url.is_default_port())


def basic_header(credentials: Credentials | None) -> str | None:
    """The header of Basic authentication (RFC 7617, UTF-8); None without user name and password."""
    if credentials is None or not credentials.username:
        return None
    if credentials.identity_token and not credentials.password:
        return None
    return basic_authorization(credentials.username, credentials.password)


def scope_length(scope: Scope) -> int:
    """The bytes `scope` takes in a query."""
    return len(urlencode({"scope": str(scope)})) + 1


async def ask_realm(
    realm: Realm,
    scopes: tuple[Scope, ...],
    credentials: Credentials | None,
    ask: Ask,
    *,
    by_get: bool = False,
) -> Token | Refusal:
    """The token for `scopes`, or the server's lasting refusal.

    An identity token is sent by POST, or `by_get` as the password of a Basic login.
    Raises RateLimited, Unavailable, TimedOut or TlsProblem for what may pass or is no answer.
    """
    request = _request(realm, scopes, credentials, by_get)
    response = await ask(request)
    body = await _read(response, request)
    refusal = Refusal(response.status, response.headers, body)
    if response.status == 200 and not refusal.is_page:
        return _token(realm, body)
    if request.method == "POST" and response.status in NO_POST:
        return refusal
    if refusal.is_page or response.status == _PROXY_LOGIN or refusal.is_of_a_proxy:
        # Neither the registry nor its token server speaks so: the login may be good.
        raise failure(refusal, realm.registry, doing=f"asking the token server {realm.url.host}")
    if response.status >= 500 or response.status < 400 or response.status in _PASSING:
        raise failure(refusal, realm.registry, doing=f"asking the token server {realm.url.host}")
    return refusal


def takes_no_post(answer: Token | Refusal) -> bool:
    """Whether the answer to a POST leaves it open that the server gives tokens by GET."""
    return isinstance(answer, Refusal) and answer.status in NO_POST


def better(by_post: Token | Refusal, by_get: Token | Refusal) -> Token | Refusal:
    """Which of two answers counts: a refused login is explained by the way that knows logins."""
    if isinstance(by_get, Refusal) and getattr(by_post, "status", 0) not in _NOT_THERE:
        return by_post
    return by_get


def refused(realm: Realm, refusal: Refusal, credentials: Credentials | None) -> CopyFailed:
    """The failure behind a lasting refusal; never NotFound, for no registry spoke."""
    words, host = refusal.words, realm.url.host
    for secret in (credentials.password, credentials.identity_token) if credentials else ():
        words = words.replace(secret, "***") if secret else words
    status = refusal.status
    if status not in (401, 403):
        said = f"{realm.registry}: the token server {host} issued no token ({words})"
        return permanent(UnknownFailure(said, status=status))
    advice = None
    if credentials is None:
        said = f"the token server {host} requires a login"
    elif status == _FORBIDDEN:
        said = f"the token server {host} issues no token to this login"
        advice = "ask for the right to this repository, or log in with another account"
    elif credentials.identity_token:
        said = f"the token server {host} does not accept the identity token"
    else:
        said = f"wrong user name or password, says the token server {host}"
    return Unauthorized(f"{realm.registry}: {said} ({words})", status=status, advice=advice)


def unsafe(realm: Realm) -> TlsProblem:
    """The failure of a realm that no login may be sent to."""
    return TlsProblem(
        f"{realm.registry}: its token server {realm.url.host} speaks plain HTTP, "
        "so the login is not sent there",
        advice="have the registry name an https realm, or allow it with --tls-verify=false",
    )


def _request(
    realm: Realm, scopes: tuple[Scope, ...], credentials: Credentials | None, by_get: bool
) -> Request:
    service = [("service", realm.service)] if realm.service else []
    if credentials is not None and credentials.identity_token and not by_get:
        form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", credentials.identity_token),
            *service,
            ("client_id", _CLIENT),
            ("scope", " ".join(map(str, scopes))),
        ]
        return Request(
            method="POST",
            url=realm.url,
            reference=realm.registry,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
            stays=True,
        )
    query = urlencode([*service, *(("scope", str(scope)) for scope in scopes)])
    before = realm.url.raw_query_string
    base = str(realm.url.with_query(None))
    return Request(
        method="GET",
        url=URL(f"{base}?{before}&{query}" if before else f"{base}?{query}", encoded=True),
        reference=realm.registry,
        authorization=basic_header(_as_password(credentials) if by_get else credentials),
    )


def _as_password(credentials: Credentials | None) -> Credentials | None:
    """A login whose identity token stands where servers that know only GET look for a password."""
    if credentials is None or not credentials.identity_token:
        return credentials
    return Credentials(credentials.username or _TOKEN_USER, credentials.identity_token)


async def _read(response: aiohttp.ClientResponse, request: Request) -> bytes:
    try:
        body = await in_time(MOST_SECONDS, read_up_to(response, MOST_BYTES))
    except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
        response.close()
        raise network_failure(error, request.reference, request.url) from error
    except BaseException:
        response.close()
        raise
    if len(body) > MOST_BYTES:
        response.close()
        said = f"the token server {request.url.host} answered with over {MOST_BYTES} bytes"
        raise Unavailable(f"{request.reference}: {said}")
    response.release()
    return body


def _token(realm: Realm, body: bytes) -> Token:
    try:
        return parse_token(body)
    except ValueError as error:
        said = f"the answer of the token server {realm.url.host} is not usable ({error})"
        raise Unavailable(f"{realm.registry}: {said}", status=200) from None
