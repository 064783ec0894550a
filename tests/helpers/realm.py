"""A token server without a network: answers `ask` of an Authorizer from memory."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

from image_tools.web.connect import Request

Reply = tuple[int, dict[str, str], bytes]


def granting_jwt(scopes: tuple[str, ...], number: int = 0) -> str:
    """Give an unsigned JWT whose access claim grants the scopes."""
    entries = [scope.rsplit(":", 1) for scope in scopes]
    access = [
        {"type": "repository", "name": name.partition(":")[2], "actions": actions.split(",")}
        for name, actions in entries
    ]
    claims = json.dumps({"access": access, "jti": number}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.sig"


def refusal(status: int, **headers: str) -> Reply:
    """Give a refusal in the words of the distribution spec."""
    body = json.dumps({"errors": [{"code": "DENIED", "message": "no"}]}).encode()
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, body


@dataclass
class MemoryRealm:
    """Answers token requests and keeps them; `rule(scopes)` may give another reply than a token.

    `jwt` gives tokens that say what they grant (narrowed by `grants`); else they are opaque.
    """

    jwt: bool = False
    life: int = 300
    grants: Callable[[tuple[str, ...]], tuple[str, ...]] = lambda scopes: scopes
    rule: Callable[[tuple[str, ...]], Reply | None] = lambda scopes: None
    requests: list[Request] = field(default_factory=list)
    released: int = 0

    @property
    def asked(self) -> list[tuple[str, ...]]:
        """Give the scopes of every request, without `repository:`."""
        return [tuple(s.partition(":")[2] for s in scopes_of(one)) for one in self.requests]

    async def ask(self, request: Request) -> Any:
        """Answer like `Connections.open`."""
        self.requests.append(request)
        scopes = scopes_of(request)
        status, headers, body = self.rule(scopes) or (200, {}, self._token(scopes))
        return self._response(request, status, headers, body)

    def _token(self, scopes: tuple[str, ...]) -> bytes:
        number = len(self.requests)
        text = granting_jwt(self.grants(scopes), number) if self.jwt else f"token-{number}"
        return json.dumps({"token": text, "expires_in": self.life}).encode()

    def _response(self, request: Request, status: int, headers: dict[str, str], body: bytes) -> Any:
        pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]

        async def readany() -> bytes:
            return pieces.pop(0) if pieces else b""

        def let_go() -> None:
            self.released += 1

        content = SimpleNamespace(readany=readany, is_eof=lambda: False)
        return SimpleNamespace(
            status=status,
            headers=headers,
            content=content,
            url=request.url,
            release=let_go,
            close=let_go,
        )


def scopes_of(request: Request) -> tuple[str, ...]:
    """Give the scopes a request asks for, in a query or in a form."""
    body = request.body.decode() if isinstance(request.body, bytes) else ""
    form = parse_qs(body or request.url.raw_query_string)
    return tuple(scope for text in form.get("scope", []) for scope in text.split())
