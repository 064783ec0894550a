"""One request to a token server (distribution spec, "Token", "OAuth2 Token Authentication")."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from image_tools.errors import CopyFailed, TlsProblem, Unauthorized, Unavailable, UnknownFailure
from image_tools.logins.auth_file import Credentials
from image_tools.stores.remote.api import ApiAnswer
from image_tools.stores.remote.failures import failure, permanent
from image_tools.stores.remote.tokens.challenge import Challenge
from image_tools.stores.remote.tokens.token import Scope, Token, parse_token
from image_tools.web.address import NO_URL, is_usable
from image_tools.web.basic import basic_authorization
from image_tools.web.connect import Request
from image_tools.web.redaction import HIDDEN
from image_tools.web.responses import read_body
from image_tools.web.tls import is_loopback

MOST_BYTES = 64 * 1024
MOST_SECONDS = 120.0
_CLIENT = "image-tools"
_PASSING = frozenset({408, 425, 429})
# Answers of servers without POST: 404 by the specification, 405 of Gitea, 401 of JFrog (see
# containerd's authorizer), 403 where the path is protected.
NO_POST = frozenset({401, 403, 404, 405, 501})
_FORBIDDEN, _PROXY_LOGIN = 403, 407
_NOT_THERE = frozenset({404, 405, 501})
# The user name that docker writes for a login that is only a token.
_TOKEN_USER = "<token>"

Ask = Callable[[Request], Awaitable[aiohttp.ClientResponse]]


@dataclass(frozen=True, slots=True)
class Realm:
    """The token server of `registry`, and the name that the registry has there."""

    registry: str
    url: URL
    service: str = ""

    def is_safe(self) -> bool:
        """Return whether a login may be sent there: over TLS, or to loopback."""
        return self.url.scheme == "https" or is_loopback(self.url.host or "")


def host_of(registry: str) -> str:
    """Return the host of `registry` without port and brackets; empty if there is none."""
    try:
        return URL(f"http://{registry}").host or ""
    except NO_URL:
        return ""


def realm_of(challenge: Challenge, registry: str, *, allows_plain: bool = False) -> Realm | None:
    """Return the token server of a Bearer challenge; None without one over http or https.

    A registry behind a proxy that ends TLS often names `http://` and its own host: TLS is used
    there unless plain HTTP is allowed.
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
    # A login in the URL would be sent in place of ours.
    return Realm(
        registry, url.with_user(None).with_fragment(None), challenge.parameters.get("service", "")
    )


def _is_own_door(url: URL, registry: str) -> bool:
    """Return whether a plain `url` is the registry itself, as it is reached over TLS."""
    own = URL(f"https://{registry}") if host_of(registry) else URL()
    if is_loopback(own.host or "") or url.host != own.host:
        return False
    return own.port == url.port or (own.is_default_port() and url.is_default_port())


def basic_header(credentials: Credentials | None) -> str | None:
    """Return the Basic header (RFC 7617, UTF-8); None without user name and password."""
    if credentials is None or not credentials.username:
        return None
    if credentials.identity_token and not credentials.password:
        return None
    return basic_authorization(credentials.username, credentials.password)


def scope_length(scope: Scope) -> int:
    """Return the bytes that `scope` takes in a query."""
    return len(urlencode({"scope": str(scope)})) + 1


async def ask_realm(
    realm: Realm,
    scopes: tuple[Scope, ...],
    credentials: Credentials | None,
    ask: Ask,
    *,
    by_get: bool = False,
) -> Token | ApiAnswer:
    """Return the token for `scopes`, or the server's permanent refusal.

    An identity token is sent by POST, or `by_get` as the password of a Basic login. Raises
    RateLimited, Unavailable, TimedOut or TlsProblem for temporary failures and unusable answers.
    """
    request = _request(realm, scopes, credentials, by_get)
    response = await ask(request)
    body = await _read(response, request)
    refusal = ApiAnswer(response.status, response.headers, body)
    if response.status == 200 and not refusal.is_page:
        return _token(realm, body)
    if request.method == "POST" and response.status in NO_POST:
        return refusal
    if refusal.is_page or response.status == _PROXY_LOGIN or refusal.is_of_a_proxy:
        # Neither the registry nor its token server answers so: the login may be good.
        raise failure(refusal, realm.registry, doing=f"asking the token server {realm.url.host}")
    if response.status >= 500 or response.status < 400 or response.status in _PASSING:
        raise failure(refusal, realm.registry, doing=f"asking the token server {realm.url.host}")
    return refusal


def takes_no_post(answer: Token | ApiAnswer) -> bool:
    """Return whether the answer to a POST leaves open that GET gives tokens."""
    return isinstance(answer, ApiAnswer) and answer.status in NO_POST


def better(by_post: Token | ApiAnswer, by_get: Token | ApiAnswer) -> Token | ApiAnswer:
    """Return the answer that counts: a refused login is explained by the way that knows logins."""
    if isinstance(by_get, ApiAnswer) and getattr(by_post, "status", 0) not in _NOT_THERE:
        return by_post
    return by_get


def refused(realm: Realm, refusal: ApiAnswer, credentials: Credentials | None) -> CopyFailed:
    """Return the error for a permanent refusal; never NotFound, for no registry answered."""
    words, host = refusal.words, realm.url.host
    for secret in (credentials.password, credentials.identity_token) if credentials else ():
        words = words.replace(secret, HIDDEN) if secret else words
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
    """Return the error of a token server that no login may be sent to."""
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
    """Return the login with its identity token as password, for servers that know only GET."""
    if credentials is None or not credentials.identity_token:
        return credentials
    return Credentials(credentials.username or _TOKEN_USER, credentials.identity_token)


async def _read(response: aiohttp.ClientResponse, request: Request) -> bytes:
    body = await read_body(response, request.reference, MOST_BYTES, MOST_SECONDS)
    if len(body) > MOST_BYTES:
        said = f"the token server {request.url.host} answered with over {MOST_BYTES} bytes"
        raise Unavailable(f"{request.reference}: {said}")
    return body


def _token(realm: Realm, body: bytes) -> Token:
    try:
        return parse_token(body)
    except ValueError as error:
        said = f"the answer of the token server {realm.url.host} is not usable ({error})"
        raise Unavailable(f"{realm.registry}: {said}", status=200) from None
