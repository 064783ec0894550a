"""A Harbor in a thread: its projects and tokens, in front of a real docker-registry.

It answers as Harbor's core does: what is asked of a repository in a missing project is refused
with 401 and no challenge, whoever asks; a token grants nothing there, and stays as it was given.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import ssl
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.helpers.content import compact
from tests.helpers.endpoint import LAB_LOGIN, Endpoint, Login
from tests.helpers.keys import base64url
from tests.helpers.registry import Registry
from tests.helpers.threaded_server import ThreadedServer, body_of

API = "/api/v2.0/projects"
SECONDS = 30.0
DROPPED = 0
_NOT_PASSED_ON = frozenset({"authorization", "connection", "transfer-encoding", "content-length"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the API; ``status`` is its answer, 0 a connection that was cut."""

    method: str
    project: str
    status: int


@dataclass(slots=True, kw_only=True)
class HarborPolicy:
    """What the server allows; change it at any time.

    ``projects`` maps each project to whether it is public. ``may_create`` is the right of the
    login to create more. ``refusals`` answer the next calls that would create one, in order.
    ``unknown`` is the status for a look at a missing project: versions differ.
    """

    login: Login = LAB_LOGIN
    projects: dict[str, bool] = field(default_factory=dict)
    may_create: bool = True
    refusals: list[int] = field(default_factory=list)
    unknown: int = 404


class HarborServer:
    """Context manager of a Harbor on a random loopback port; ``calls`` are those of its API."""

    def __init__(
        self,
        registry: Registry,
        policy: HarborPolicy | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare a server; it listens at once and answers inside the context."""
        self.registry, self.policy = registry, policy or HarborPolicy()
        self.calls: list[Call] = []
        self.tokens: dict[str, frozenset[str]] = {}
        self._server = ThreadedServer(type("BoundHarbor", (_Handler,), {"lab": self}), tls)

    def __enter__(self) -> HarborServer:
        """Start to answer."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop to answer and free the port."""
        self._server.stop()

    @property
    def address(self) -> str:
        """Give ``127.0.0.1:PORT``."""
        return self._server.address

    @property
    def scheme(self) -> str:
        """Give the scheme it speaks."""
        return "http" if self._server.tls is None else "https"

    @property
    def endpoint(self) -> Endpoint:
        """Give the registry behind it, where a test looks at the result."""
        return self.registry.endpoint

    @property
    def created(self) -> list[str]:
        """Give the projects that calls have created, in order."""
        return [call.project for call in self.calls if call.status == http.client.CREATED]


class _Handler(BaseHTTPRequestHandler):
    lab: ClassVar[HarborServer]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        body = b"".join(body_of(self))
        path = urlsplit(self.path).path
        if path == API:
            self._projects(body)
        elif path == "/service/token":
            self._token()
        elif path.startswith("/v2/") and self._may_pass(path):
            self._forward(body)
        elif not path.startswith("/v2/"):
            self._say(404, "NOT_FOUND", "not found")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    # --- the API

    def _projects(self, body: bytes) -> None:
        if self.command == "POST":
            wish = json.loads(body)
            project = wish["project_name"]
            status = self._created(project, public=wish["metadata"]["public"] == "true")
        else:
            project = parse_qs(urlsplit(self.path).query)["project_name"][0]
            status = 200 if project in self.lab.policy.projects else self.lab.policy.unknown
            status = status if self._logged_in() else 401
        self.lab.calls.append(Call(self.command, project, status))
        if status == DROPPED:
            self.close_connection = True
            self.connection.close()
        elif status in (200, 201):
            self._answer(status, b"")
        else:
            self._say(status, f"LAB_{status}", "said by the lab")

    def _created(self, project: str, *, public: bool) -> int:
        policy = self.lab.policy
        if policy.refusals:
            return policy.refusals.pop(0)
        if not self._logged_in():
            return 401
        if not policy.may_create:
            return 403
        if project in policy.projects:
            return 409
        policy.projects[project] = public
        return 201

    # --- the registry

    def _token(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        scopes = [scope.split(":") for text in query.get("scope", []) for scope in text.split()]
        if not self._logged_in():
            return self._say(401, "UNAUTHORIZED", "wrong user name or password")
        access = [
            {"type": kind, "name": name, "actions": actions.split(",") if self._has(name) else []}
            for kind, name, actions in scopes
        ]
        claims = base64url(compact({"access": access}))
        token = f"{base64url(b'{}')}.{claims}.{secrets.token_hex(8)}"
        self.lab.tokens[token] = frozenset(str(one["name"]) for one in access if one["actions"])
        return self._answer(200, compact({"token": token, "expires_in": 1800}))

    def _may_pass(self, path: str) -> bool:
        """Let a request to the registry through, or answer it."""
        name = path.removeprefix("/v2/").rpartition("/manifests/")[0]
        name = name or path.removeprefix("/v2/").rpartition("/blobs/")[0].removesuffix("/blobs")
        header = self.headers.get("Authorization", "")
        kind, _, text = header.partition(" ")
        if not header:
            realm = f"{self.lab.scheme}://{self.lab.address}/service/token"
            self._refuse("unauthorized", f'Bearer realm="{realm}",service="harbor-registry"')
        elif name and not self._has(name):
            self._refuse(f"project {name.partition('/')[0]} not found", "")
        elif self._logged_in() or (kind == "Bearer" and self._granted(text, name)):
            return True
        else:
            self._refuse(f"unauthorized to access repository: {name}", 'Basic realm="harbor"')
        return False

    def _granted(self, token: str, name: str) -> bool:
        return token in self.lab.tokens and (not name or name in self.lab.tokens[token])

    def _has(self, name: str) -> bool:
        return name.partition("/")[0] in self.lab.policy.projects

    def _logged_in(self) -> bool:
        login = self.lab.policy.login
        pair = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
        return self.headers.get("Authorization", "") == f"Basic {pair}"

    def _forward(self, body: bytes) -> None:
        connection = http.client.HTTPConnection(self.lab.registry.address, timeout=SECONDS)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _NOT_PASSED_ON}
        headers["X-Forwarded-Proto"] = self.lab.scheme
        connection.request(self.command, self.path, body, headers)
        response = connection.getresponse()
        data = response.read()
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in _NOT_PASSED_ON:
                self.send_header(name, value)
        length = response.getheader("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        connection.close()

    # --- answers

    def _refuse(self, words: str, challenge: str) -> None:
        self._say(401, "UNAUTHORIZED", words, ("Www-Authenticate", challenge))

    def _say(self, status: int, code: str, words: str, *more: tuple[str, str]) -> None:
        body = compact({"errors": [{"code": code, "message": words}]})
        self._answer(status, b"" if self.command == "HEAD" else body, *more)

    def _answer(self, status: int, body: bytes, *more: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in more:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the calls are kept as data."""
