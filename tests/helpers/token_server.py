"""A token server in a thread: signed JWTs for docker-registry's ``auth: token``."""

from __future__ import annotations

import base64
import datetime
import json
import secrets
import ssl
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.helpers.content import compact
from tests.helpers.endpoint import LAB_LOGIN, Login
from tests.helpers.keys import base64url, key_identity, key_of, sign_es256
from tests.helpers.threaded_server import ThreadedServer, body_of

ISSUER = "lab-issuer"
SERVICE = "lab-registry"
# docker-registry accepts a token for this long after its end.
LEEWAY_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """One question for a token and its answer; ``grant`` is basic, anonymous, password or refresh.

    ``scopes`` are those asked for, one ``repository:NAME:ACTIONS`` each.
    """

    method: str
    grant: str
    username: str | None
    scopes: tuple[str, ...]
    status: int


@dataclass(slots=True, kw_only=True)
class TokenPolicy:
    """What the server allows; change it at any time.

    ``lifetime`` is the true life of a token in seconds, ``announced`` the ``expires_in`` told
    (None: the lifetime). ``anonymous_pull`` gives pull without a login. ``identity_tokens``
    gives a refresh token to who asks ``offline_token``. ``fail_with`` refuses with that status.
    """

    login: Login = LAB_LOGIN
    lifetime: float = 300.0
    announced: int | None = None
    anonymous_pull: bool = False
    identity_tokens: bool = True
    fail_with: int | None = None


class TokenServer:
    """Context manager of a token server on a random loopback port."""

    def __init__(
        self,
        policy: TokenPolicy | None = None,
        *,
        key_seed: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare a server; it listens at once and answers inside the context.

        ``address`` may be changed to that of something in between, before a registry is told.
        """
        self.policy = policy or TokenPolicy()
        self.key = key_of(key_seed)
        self.requests: list[TokenRequest] = []
        self.refresh_tokens: dict[str, str] = {}
        self._server = ThreadedServer(type("BoundHandler", (_Handler,), {"lab": self}), tls)
        self.address = self._server.address

    def __enter__(self) -> TokenServer:
        """Start to answer."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop to answer and free the port."""
        self._server.stop()

    @property
    def login(self) -> Login:
        """Give the login that is let in."""
        return self.policy.login

    @property
    def realm(self) -> str:
        """Give the URL the registry's challenge names."""
        return f"{'http' if self._server.tls is None else 'https'}://{self.address}/token"

    def identity_token(self) -> str:
        """Give a new refresh token of the login, as ``docker login`` would have stored it."""
        token = "refresh-" + secrets.token_hex(12)
        self.refresh_tokens[token] = self.policy.login.username
        return token

    def registry_section(self, certificate: Path) -> dict[str, str]:
        """Write the certificate bundle and give docker-registry's ``auth.token`` section."""
        certificate.write_bytes(_self_signed(self.key))
        return {
            "realm": self.realm,
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": str(certificate),
        }

    def access_token(self, subject: str, scopes: tuple[str, ...]) -> str:
        """Give a JWT signed with ES256 that grants all actions of the scopes."""
        now = time.time()
        header = {"typ": "JWT", "alg": "ES256", "kid": key_identity(self.key)}
        claims = {
            "iss": ISSUER,
            "sub": subject,
            "aud": SERVICE,
            "exp": int(now + self.policy.lifetime - LEEWAY_SECONDS),
            "nbf": int(now - 2 * LEEWAY_SECONDS),
            "iat": int(now),
            "jti": secrets.token_hex(8),
            "access": [_access(scope) for scope in scopes],
        }
        signed = f"{base64url(compact(header))}.{base64url(compact(claims))}"
        return f"{signed}.{sign_es256(self.key, signed.encode())}"


def _access(scope: str) -> dict[str, object]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return {"type": kind, "name": name, "actions": [part for part in actions.split(",") if part]}


def _pull_only(scopes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        f"{scope.rpartition(':')[0]}:{'pull' if 'pull' in scope.rpartition(':')[2] else ''}"
        for scope in scopes
    )


def _self_signed(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lab token signer")])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class _Handler(BaseHTTPRequestHandler):
    lab: ClassVar[TokenServer]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer the token question of the distribution spec's authentication pages."""
        query = parse_qs(urlsplit(self.path).query)
        scopes = _scopes(query)
        grant, username, allowed = self._basic()
        if grant == "anonymous" and self.lab.policy.anonymous_pull:
            allowed, granted = True, _pull_only(scopes)
        else:
            granted = scopes
        self._grant(
            TokenRequest(
                method="GET",
                grant=grant,
                username=username,
                scopes=scopes,
                status=self.lab.policy.fail_with or (200 if allowed else 401),
            ),
            granted,
            offline=query.get("offline_token") == ["true"],
        )

    def do_POST(self) -> None:
        """Answer the OAuth2 question: a refresh token or a password against an access token."""
        form = parse_qs(b"".join(body_of(self)).decode())
        grant, username = self._oauth(form)
        scopes = _scopes(form)
        self._grant(
            TokenRequest(
                method="POST",
                grant=grant,
                username=username,
                scopes=scopes,
                status=self.lab.policy.fail_with or (200 if username else 401),
            ),
            scopes,
            offline=form.get("access_type") == ["offline"],
        )

    def _basic(self) -> tuple[str, str | None, bool]:
        kind, _, coded = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "basic":
            return "anonymous", None, False
        username, _, password = base64.b64decode(coded).decode().partition(":")
        return "basic", username, Login(username, password) == self.lab.policy.login

    def _oauth(self, form: dict[str, list[str]]) -> tuple[str, str | None]:
        if form.get("grant_type") == ["refresh_token"]:
            return "refresh", self.lab.refresh_tokens.get(form.get("refresh_token", [""])[0])
        username, password = form.get("username", [""])[0], form.get("password", [""])[0]
        allowed = Login(username, password) == self.lab.policy.login
        return "password", username if allowed else None

    def _grant(self, asked: TokenRequest, granted: tuple[str, ...], *, offline: bool) -> None:
        self.lab.requests.append(asked)
        if asked.status != 200:
            line = {"code": "UNAUTHORIZED", "message": "refused by the lab"}
            return self._answer(asked.status, {"errors": [line]})
        token = self.lab.access_token(asked.username or "", granted)
        policy = self.lab.policy
        life = int(policy.lifetime) if policy.announced is None else policy.announced
        body: dict[str, object] = {"token": token, "access_token": token, "expires_in": life}
        if offline and policy.identity_tokens and asked.username:
            body["refresh_token"] = self.lab.identity_token()
        return self._answer(200, body)

    def _answer(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the requests are kept as data."""


def _scopes(form: dict[str, list[str]]) -> tuple[str, ...]:
    return tuple(scope for text in form.get("scope", []) for scope in text.split())
