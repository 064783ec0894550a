"""What a behaviour of the zoo is: a small change at the edge of a registry that does all else."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qs

from tests.helpers.endpoint import Login
from tests.helpers.fault_routes import Asked
from tests.helpers.fault_types import HeaderValue, Reply

if TYPE_CHECKING:
    from tests.zoo.registry import ZooRegistry

JSON = {"Content-Type": "application/json"}
READS = frozenset({"GET", "HEAD"})
UPLOADS = "blobs/uploads"


@dataclass(slots=True)
class Call:
    """One request on its way through the behaviours of `registry`.

    A behaviour may replace `asked`, for those further in; `granted` are the scopes that the token
    server puts into a token, None for all that were asked for.
    """

    asked: Asked
    body: bytes = field(repr=False)
    registry: ZooRegistry = field(repr=False)
    granted: tuple[str, ...] | None = None

    @property
    def method(self) -> str:
        """Return the method."""
        return self.asked.method

    @property
    def repository(self) -> str:
        """Return the repository, empty for the greeting and the token server."""
        return self.asked.repository or ""

    @property
    def reference(self) -> str:
        """Return the tag, digest or upload: the last part of the path."""
        return self.asked.rest

    def asks(self, methods: str, what: str) -> bool:
        """Return whether this is one of the `methods` ("GET HEAD") of `what` ("manifests")."""
        return self.asked.what == what and self.method in methods.split()

    @property
    def names_tag(self) -> bool:
        """Return whether this is about a manifest by its tag."""
        return self.asked.what == "manifests" and ":" not in self.reference

    @property
    def writes(self) -> bool:
        """Return whether this would put something into a repository."""
        return self.asked.what in {"manifests", UPLOADS} and self.method in {"POST", "PUT", "PATCH"}

    @property
    def has_tag(self) -> bool:
        """Return whether the tag asked about exists."""
        return self.reference in self.registry.store.tags.get(self.repository, {})

    @property
    def bearer(self) -> str:
        """Return the bearer token shown, empty without one."""
        kind, _, token = self.asked.headers.get("Authorization", "").partition(" ")
        return token if kind.lower() == "bearer" else ""

    @property
    def basic(self) -> Login | None:
        """Return the login shown with Basic authentication."""
        kind, _, coded = self.asked.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "basic":
            return None
        username, _, password = base64.b64decode(coded).decode().partition(":")
        return Login(username, password)

    @property
    def form(self) -> Mapping[str, list[str]]:
        """Return the question to the token server, from its query or its form."""
        text = self.body.decode() if self.method == "POST" else self.asked.query_text
        return parse_qs(text)

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return the scopes that the token server is asked for."""
        return tuple(scope for text in self.form.get("scope", []) for scope in text.split())

    def without_header(self, name: str) -> None:
        """Hide a header field from those further in."""
        kept = {key: value for key, value in self.asked.headers.items() if key != name}
        self.asked = replace(self.asked, headers=kept)


class Behaviour:
    """One habit of a registry; it sees requests on their way in, and answers on their way out."""

    def opened(self, registry: ZooRegistry, stack: ExitStack) -> None:
        """Start what the behaviour needs beside the registry; `stack` ends it."""

    def before(self, call: Call) -> Reply | None:
        """Return an answer in place of the registry's, or None to let the request pass."""
        return None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Return the answer, changed or not."""
        return reply


class Words(Protocol):
    """Makes the words of a refusal from the call that is refused."""

    def __call__(self, call: Call) -> str: ...


def with_headers(reply: Reply, **headers: HeaderValue) -> Reply:
    """Return `reply` with more header fields; an underscore in a name stands for a dash."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(reply, headers={**reply.headers, **named})


def without(reply: Reply, *names: str) -> Reply:
    """Return `reply` without these header fields."""
    kept = {name: value for name, value in reply.headers.items() if name not in names}
    return replace(reply, headers=kept)


def json_reply(value: object, status: int = 200) -> Reply:
    """Return an answer whose body is JSON."""
    return Reply(status, json.dumps(value).encode(), JSON)


def page(status: int, text: str) -> Reply:
    """Return a web page."""
    body = f"<html>\r\n<head><title>{text}</title></head>\r\n<body>{text}</body>\r\n</html>\r\n"
    return Reply(status, body.encode(), {"Content-Type": "text/html"})
